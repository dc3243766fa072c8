using Cnvm.GuestAgent.Cgroups;
using Cnvm.GuestAgent.Io;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Devices;

/// <summary>What stands in a container's control group between its processes and devices. One caller at a time.</summary>
internal sealed class DeviceGate(string id, ControlGroup group, ConsoleLog log) : IDisposable
{
    private DeviceFilter? _filter;

    /// <summary>Puts rules in force, in the place of those before.</summary>
    /// <param name="rules">Null leaves everything as it is.</param>
    /// <exception cref="StageException">The sandbox's kernel cannot, and they forbid something.</exception>
    public void Apply(DeviceRules? rules, StagePlan plan)
    {
        if (rules is null)
        {
            return;
        }

        try
        {
            DeviceFilter filter = DeviceFilter.Load(DeviceProgram.Compile(rules));
            try
            {
                Attach(filter);
            }
            catch
            {
                filter.Dispose();
                throw;
            }

            _filter?.Dispose();
            _filter = filter;
        }
        catch (LinuxException e)
        {
            if (rules.WhatIsForbidden(plan) is { } forbidden)
            {
                throw new StageException($"linux.resources.devices forbids {forbidden}, and the sandbox's kernel cannot see to it (CONFIG_CGROUP_BPF): {e.Message}");
            }

            log.Write($"container {id}: its rules for devices are not in force, as the kernel cannot ({e.Message}); they forbid nothing that it sees");
        }
    }

    public void Dispose() => _filter?.Dispose();

    private void Attach(DeviceFilter filter)
    {
        using var folder = new FileDescriptor(LinuxError.Check(
            Libc.open(group.Folder, Libc.O_RDONLY | FileCalls.O_DIRECTORY | Libc.O_CLOEXEC, 0), $"open {group.Folder}"));
        filter.Attach(folder.Value, _filter);
    }
}
