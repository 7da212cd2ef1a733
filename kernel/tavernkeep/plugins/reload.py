"""Looking at the plugin folders again while the server runs."""

import asyncio
from collections.abc import Callable, Iterable

import attrs

from tavernkeep.config.sections import PluginsConfig
from tavernkeep.contracts.plugins import Plugin, PluginStatus, Reloaded
from tavernkeep.plugins.discovery import made_of_folder, turned_off
from tavernkeep.plugins.folders import FolderEntryPoint
from tavernkeep.plugins.installed import Plugins, second_name
from tavernkeep.plugins.registrations import KERNEL


@attrs.define
class Reloading:
    """Brings the plugins up to what is in the folders.

    Attributes:
        bring_in: Has a plugin that was imported called, and what it registers put in its place.
    """

    plugins: Plugins
    config: PluginsConfig
    bring_in: Callable[[Plugin], None]

    async def look(self, found: Iterable[FolderEntryPoint]) -> Reloaded:
        """Load what is new, reread what has changed, take out what is gone.

        Args:
            found: What is in the folders now.
        """
        outcome, failed = Reloaded(), {}
        now: dict[str, FolderEntryPoint] = {}
        for folder in map(self._as_before, found):
            there = self.plugins.get(folder.name)
            is_free = folder.name not in now and folder.name != KERNEL and (there is None or there.folder is not None)
            now[folder.name if is_free else second_name(folder.name, folder.dist.name)] = folder
        for plugin in self.plugins:
            if plugin.folder is not None and plugin.name not in now:
                self.plugins.leave(plugin)
                outcome.removed.append(plugin.name)
        for name, folder in now.items():
            before = self.plugins.get(name)
            if before is not None and (before.status is PluginStatus.DISABLED or (before.folder == folder and not before.has_failed)):
                if before.is_active:
                    before.error = None  # what was broken meanwhile is again as it runs
                continue
            after = await self.load(name, folder)
            if not after.is_active:
                if after.error is not None and after.has_failed:
                    failed[name] = after.error
            elif before is not None and before.is_active:
                outcome.changed.append(name)
            else:
                outcome.loaded.append(name)
        return attrs.evolve(outcome, failed=failed)

    def _as_before(self, folder: FolderEntryPoint) -> FolderEntryPoint:
        """A folder whose manifest cannot be read goes by the name that it had."""
        names = [plugin.name for plugin in self.plugins if plugin.folder is not None and plugin.folder.path == folder.path]
        return attrs.evolve(folder, name=names[0]) if folder.problem and names else folder

    async def load(self, name: str, folder: FolderEntryPoint) -> Plugin:
        """Load a folder, in the place of what was loaded of it before; where that cannot be done, what was there goes on.

        Args:
            name: What it is listed as. Where that is not its own name another has that, and goes on having it.

        Returns:
            What was made of the folder, whether it took its place or not.
        """
        before, after = self.plugins.get(name), made_of_folder(folder)
        if name != folder.name:
            self.plugins.add(after)
            return after
        last_good = before if before is not None and before.is_active else None
        if turned_off(after, self.config.disabled, self.config.only):
            self.plugins.enter(after)
            return after
        # In a thread: what a module does when it is imported may take its time. Nothing is registered there.
        problem = await asyncio.to_thread(self.plugins.imports, after, folder)
        if problem is not None:
            after.status, after.error = problem
        if last_good is None:
            self.bring_in(after)
            return after
        if problem is None:
            self.plugins.withdraw(last_good)
            self.bring_in(after)
            if not after.is_active:
                self.plugins.withdraw(after)
                self.bring_in(last_good)
        if not after.is_active:
            last_good.error = f"what is in its folder now is not loaded: {after.error}"
        return after
