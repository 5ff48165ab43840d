# SPDX-License-Identifier: Apache-2.0
"""Puts this project's code in the place of a few functions of Nova.

What triggers it is configuration: ``config_source`` in all processes,
``vif_plugin`` in nova-compute, the paste filter in nova-api, the filter's
class in nova-scheduler. Whoever is first does the work.

At that time many modules of Nova are not imported yet, and must not be: some
read options when they are. So modules that are there are changed at once,
and the others right after their import. Our own modules import Nova's, so
they wait, too:

* a function is replaced by one that loads ours when it is first called;
* a class is replaced when its module has been imported. Our module is then
  imported in the middle of an import of Nova's, so it and what it imports may
  need only such modules of Nova as the class's own module does.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import functools
import importlib
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
from pci_passthrough.nova_plugin.install import verify

#: Where the replacements are; see ``Replacement.by``.
_PACKAGE = 'pci_passthrough.nova_plugin'


@dataclasses.dataclass(frozen=True)
class Replacement:
    """Something of Nova that this project replaces.

    :ivar module: of Nova.
    :ivar attribute: in it, ``Class.method`` for a method.
    :ivar by: what of ``pci_passthrough.nova_plugin`` takes its place,
        ``room.module.name``. For a function it is called with the original
        and returns the replacement; a class is the replacement.
    :ivar is_class: whether it is a class.
    """

    module: str
    attribute: str
    by: str
    is_class: bool = False

    def make(self, original: Any) -> Any:
        """Return what to put in the original's place."""
        return self._load() if self.is_class else _late(original, self._load)

    def _load(self) -> Any:
        name, _, attribute = self.by.rpartition('.')
        module = importlib.import_module(f'{_PACKAGE}.{name}')
        return getattr(module, attribute)


REPLACEMENTS = (
    Replacement(
        'nova.pci.request',
        'get_pci_requests_from_flavor',
        'requests.wrap_get_pci_requests_from_flavor',
    ),
    Replacement(
        'nova.objects.request_spec',
        'RequestSpec.generate_request_groups_from_pci_requests',
        'requests.wrap_generate_request_groups',
    ),
    Replacement(
        'nova.pci.manager',
        'PciDevTracker',
        'compute.tracker.PciFlavorDevTracker',
        is_class=True,
    ),
    Replacement(
        'nova.compute.resource_tracker',
        'ResourceTracker._move_claim',
        'requests.wrap_move_claim',
    ),
    Replacement(
        'nova.compute.claims',
        'Claim._test_pci',
        'compute.tracker.wrap_test_pci',
    ),
    Replacement(
        'nova.network.neutron',
        'API.create_resource_requests',
        'network.nics.wrap_create_resource_requests',
    ),
    Replacement(
        'nova.network.neutron',
        'API._create_ports_for_instance',
        'network.port_binding.wrap_create_ports',
    ),
    Replacement(
        'nova.network.neutron',
        'API._populate_neutron_binding_profile',
        'network.port_binding.wrap_populate_binding_profile',
    ),
    Replacement(
        'nova.pci.whitelist',
        'Whitelist.get_devspec',
        'network.port_binding.wrap_get_devspec',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._update_migrate_vifs_profile_with_pci',
        'network.port_binding.wrap_update_migrated_profiles',
    ),
    Replacement(
        'nova.compute.rpcapi',
        'ComputeAPI.attach_interface',
        'network.interface_requests.wrap_attach_interface',
    ),
    Replacement(
        'nova.compute.rpcapi',
        'ComputeAPI.detach_interface',
        'network.interface_requests.wrap_detach_interface',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._detach_interface',
        'network.interfaces.wrap_detach',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._process_instance_vif_deleted_event',
        'network.interfaces.wrap_port_deleted',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._attach_interface',
        'network.interfaces.wrap_attach',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._claim_pci_device_for_interface_attach',
        'network.interfaces.wrap_claim',
    ),
    Replacement(
        'nova.context',
        'RequestContext.to_dict',
        'network.asked_nics.wrap_to_dict',
    ),
    Replacement(
        'nova.context',
        'RequestContext.from_dict',
        'network.asked_nics.wrap_from_dict',
    ),
)

_lock = threading.RLock()
_originals: dict[Replacement, Any] = {}


def nova_conf() -> cfg.ConfigOpts:
    """Return the configuration of the Nova process this runs in.

    Nova has it in oslo.config's global; the door's own entry points, which
    get none handed in, take it from here.
    """
    return cfg.CONF


def check_group(name: str) -> None:
    """Check which group ``[DEFAULT] config_source`` names.

    :raises InvalidConfiguration: it is not the one that the options are in.
    """
    if name != nova_options.GROUP:
        raise exception.InvalidConfiguration(
            f'[DEFAULT] config_source = {name}: the group must be named '
            f'{nova_options.GROUP}'
        )


def is_wanted(conf: cfg.ConfigOpts) -> bool:
    """Whether nova.conf asks for the door.

    It does when ``[DEFAULT] config_source`` names the group or when
    ``[pci_passthrough] driver`` is set: one without the other is an
    oversight, not a wish to go without.
    """
    if nova_options.GROUP in conf.config_source:
        return True
    # With the option registered there, oslo.config would stumble over it when
    # the same group is in config_source later.
    look = cfg.ConfigOpts()
    look.register_opt(cfg.StrOpt('driver'), group=nova_options.GROUP)
    look(
        [],
        default_config_files=conf.config_file,
        default_config_dirs=conf.config_dir,
    )
    return look[nova_options.GROUP].driver is not None


def install(conf: cfg.ConfigOpts | None = None) -> None:
    """Check Nova, and replace what is to be replaced. May be repeated.

    :param conf: Nova's configuration; None is the one of this process.
    :raises UnsupportedNova: this Nova differs from the tested ones where it
        matters. Nothing has been replaced then.
    """
    conf = nova_conf() if conf is None else conf
    with _lock:
        nova_options.register_opts(conf)
        if _finder in sys.meta_path:
            return
        verify.check(conf[nova_options.GROUP].accepted_nova_changes)
        sys.meta_path.insert(0, _finder)
        try:
            for replacement in REPLACEMENTS:
                module = sys.modules.get(replacement.module)
                if module is not None and replacement not in _originals:
                    _replace(replacement, module)
        except BaseException:
            # Or the next call would find it installed.
            uninstall()
            raise


def uninstall() -> None:
    """Put Nova's own functions back; for tests."""
    with _lock:
        if _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        while _originals:
            replacement, original = _originals.popitem()
            owner, name = _owner(replacement, sys.modules[replacement.module])
            setattr(owner, name, original)


def replaced() -> list[str]:
    """Return what has been replaced so far, as ``module:attribute``."""
    return sorted(f'{r.module}:{r.attribute}' for r in _originals)


def _replace(replacement: Replacement, module: types.ModuleType) -> None:
    with _lock:
        owner, name = _owner(replacement, module)
        made = replacement.make(getattr(owner, name))
        original = inspect.getattr_static(owner, name)
        # A method of the class has been bound to it already.
        is_bound = isinstance(original, classmethod)
        setattr(owner, name, staticmethod(made) if is_bound else made)
        _originals[replacement] = original


def _owner(
    replacement: Replacement, module: types.ModuleType
) -> tuple[Any, str]:
    *path, name = replacement.attribute.split('.')
    owner: Any = module
    for part in path:
        owner = getattr(owner, part)
    return owner, name


def _late(original: Any, load: Callable[[], Any]) -> Any:
    """Return a function that is replaced when it is first called."""

    @functools.cache
    def replacement() -> Any:
        return load()(original)

    @functools.wraps(original)
    def door(*args: Any, **kwargs: Any) -> Any:
        return replacement()(*args, **kwargs)

    return door


class _Finder(abc.MetaPathFinder):
    """Has modules changed right after they have been executed.

    It finds nothing itself: the other finders are asked, and what they found
    is executed as they say.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> machinery.ModuleSpec | None:
        """Find a module as the others do, and remember to change it."""
        replacements = [r for r in REPLACEMENTS if r.module == fullname]
        if not replacements:
            return None
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    _change_after_execution(spec, replacements)
                    return spec
        return None


def _change_after_execution(
    spec: machinery.ModuleSpec, replacements: Sequence[Replacement]
) -> None:
    # A loader is made for one module. One of our own in its place would hide
    # what else it can do, such as returning the source for a traceback.
    loader: Any = spec.loader
    execute = loader.exec_module

    def exec_module(module: types.ModuleType) -> None:
        execute(module)
        for replacement in replacements:
            _replace(replacement, module)

    loader.exec_module = exec_module


_finder = _Finder()
