# SPDX-License-Identifier: Apache-2.0
"""Installs the Nova plugin: replaces a few functions and a class of Nova.

Configuration triggers it: ``config_source`` in all processes, ``vif_plugin``
in nova-compute, the paste filter in nova-api, the filter's class in
nova-scheduler. The first one to run installs the plugin.

At that time many modules of Nova are not imported yet, and must not be: some
read options when they are imported. So modules that are imported already are
changed at once, and the others right after their import. The modules of the
plugin import Nova's, so they are imported late, too:

* a function's replacement is imported when the function is first called;
* a class is replaced right after its module was imported. The plugin's module
  is imported in the middle of an import of Nova's. So that module, and all
  that it imports, may import only those modules of Nova that the class's own
  module imports.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
from importlib import abc
from importlib import machinery
import inspect
import sys
import threading
import types
from typing import Any

from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough.conf import nova as nova_options
from pci_passthrough.nova_plugin.install import replacements
from pci_passthrough.nova_plugin.install import verify

_lock = threading.RLock()
_originals: dict[replacements.Replacement, Any] = {}


def nova_conf() -> cfg.ConfigOpts:
    """Return the configuration of this Nova process.

    Nova uses oslo.config's global object. Entry points of the Nova plugin get
    no configuration as an argument, so they call this.
    """
    return cfg.CONF


def check_group(name: str) -> None:
    """Check the group that ``[DEFAULT] config_source`` names.

    :raises InvalidConfiguration: it is not the group of this project's
        options.
    """
    if name != nova_options.GROUP:
        raise exception.InvalidConfiguration(
            f'[DEFAULT] config_source = {name}: the group must be named '
            f'{nova_options.GROUP}'
        )


def is_wanted(conf: cfg.ConfigOpts) -> bool:
    """Whether nova.conf asks for the Nova plugin.

    It does when ``[DEFAULT] config_source`` names the group or when
    ``[pci_passthrough] driver`` is set. An operator who sets only one of them
    has forgotten the other.
    """
    if nova_options.GROUP in conf.config_source:
        return True
    # An option ``driver`` that is registered in ``conf`` would make
    # oslo.config fail if the same group is in config_source later.
    separate = cfg.ConfigOpts()
    separate.register_opt(cfg.StrOpt('driver'), group=nova_options.GROUP)
    separate(
        [],
        default_config_files=conf.config_file,
        default_config_dirs=conf.config_dir,
    )
    return separate[nova_options.GROUP].driver is not None


def install(conf: cfg.ConfigOpts | None = None) -> None:
    """Verify Nova, and install all replacements; may be repeated.

    :param conf: Nova's configuration; None means that of this process.
    :raises UnsupportedNova: this Nova differs from the tested releases in a
        relevant place. Then nothing was replaced.
    """
    conf = nova_conf() if conf is None else conf
    with _lock:
        nova_options.register_opts(conf)
        if _finder in sys.meta_path:
            return
        verify.check(conf[nova_options.GROUP].accepted_nova_changes)
        sys.meta_path.insert(0, _finder)
        try:
            for replacement in replacements.REPLACEMENTS:
                module = sys.modules.get(replacement.module)
                if module is not None and replacement not in _originals:
                    _replace(replacement, module)
        except BaseException:
            # Otherwise the next call would take it for installed.
            uninstall()
            raise


def uninstall() -> None:
    """Restore Nova's functions and class; for tests."""
    with _lock:
        if _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        while _originals:
            replacement, original = _originals.popitem()
            owner, name = _owner(replacement, sys.modules[replacement.module])
            setattr(owner, name, original)


def replaced() -> list[str]:
    """Return the symbols that are replaced by now, as ``module:name``."""
    return sorted(str(replacement) for replacement in _originals)


def _replace(
    replacement: replacements.Replacement, module: types.ModuleType
) -> None:
    with _lock:
        owner, name = _owner(replacement, module)
        original = inspect.getattr_static(owner, name)
        substitute: Any
        if isinstance(original, classmethod):
            # The replacement, too, gets the class: it may be a derived one.
            substitute = classmethod(
                _substitute(replacement, original.__func__)
            )
        else:
            substitute = _substitute(replacement, getattr(owner, name))
            if isinstance(original, staticmethod):
                substitute = staticmethod(substitute)
        setattr(owner, name, substitute)
        _originals[replacement] = original


def _owner(
    replacement: replacements.Replacement, module: types.ModuleType
) -> tuple[Any, str]:
    """Return the module or class that has the attribute, and its name."""
    *path, name = replacement.name.split('.')
    owner: Any = module
    for part in path:
        owner = getattr(owner, part)
    return owner, name


def _substitute(replacement: replacements.Replacement, original: Any) -> Any:
    if replacement.is_class:
        return replacement.load()
    return _late(original, replacement.load)


def _late(original: Any, load: Callable[[], Any]) -> Any:
    """Return a function that loads its replacement when first called."""

    @functools.cache
    def replacement() -> Any:
        return load()(original)

    @functools.wraps(original)
    def replaced_by_pci_passthrough(*args: Any, **kwargs: Any) -> Any:
        return replacement()(*args, **kwargs)

    return replaced_by_pci_passthrough


class _Finder(abc.MetaPathFinder):
    """Changes modules of Nova right after they were executed.

    It finds no modules itself: the other finders do, and their loaders
    execute the modules.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> machinery.ModuleSpec | None:
        """Let the other finders find a module, and have it changed later."""
        here = [
            replacement
            for replacement in replacements.REPLACEMENTS
            if replacement.module == fullname
        ]
        if not here:
            return None
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    _change_after_execution(spec, here)
                    return spec
        return None


def _change_after_execution(
    spec: machinery.ModuleSpec,
    here: Sequence[replacements.Replacement],
) -> None:
    # Each loader is for one module. Another loader in its place would hide
    # its other abilities, such as returning the source for a traceback.
    loader: Any = spec.loader
    execute = loader.exec_module

    def exec_module(module: types.ModuleType) -> None:
        execute(module)
        for replacement in here:
            _replace(replacement, module)

    loader.exec_module = exec_module


_finder = _Finder()
