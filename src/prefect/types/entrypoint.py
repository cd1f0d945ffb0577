"""How an entrypoint says where a flow is."""

from enum import Enum


class EntrypointType(Enum):
    """The two ways of writing an entrypoint."""

    FILE_PATH = "file_path"
    """`path/to/file.py:flow_function`"""
    MODULE_PATH = "module_path"
    """`package.module.flow_function`"""
