"""The files that describe a run before it trains."""

from s4mi.config import RunConfig, save_run_config
from s4mi.data.spec import write_spec
from s4mi.data.splits.split_file import save_split
from s4mi.training.data_state import data_state, write_data_state
from s4mi.training.prepare import Prepared
from s4mi.training.run_dir import RunDir


def write_run_files(run_dir: RunDir, config: RunConfig, prepared: Prepared) -> None:
    """Write what describes a run before it trains: settings, data set, split and state of the data."""
    save_run_config(config, run_dir.config_path)
    write_spec(run_dir.path, prepared.manifest.spec)
    save_split(prepared.split, prepared.manifest, run_dir.split_path)
    write_data_state(run_dir.path, data_state(config, prepared))
