using Cnvm.Arch.Machine;
using Cnvm.Linux;
using Cnvm.Virtio;
using Cnvm.Virtio.Block;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Platform;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// What a snapshot needs of this host beside its processors: files, folders, sockets, interfaces. Nothing is locked or written, and nothing made but a TAP
/// interface that is gone again.
/// </summary>
public static class SnapshotObstacles
{
    /// <summary>
    /// Everything that keeps a snapshot from being restored here as it is configured and by copying its memory, by name; empty when nothing does. What memory and disks
    /// hold is not looked at.
    /// </summary>
    /// <param name="folder">The snapshot's.</param>
    /// <param name="config">The snapshot's, as it may have been edited.</param>
    public static IReadOnlyList<string> Find(string folder, MachineState state, VmConfig config)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(config);
        var problems = new List<string>();
        foreach (ConfigProblem problem in VmConfigValidator.Validate(config, goesOn: true))
        {
            problems.Add($"{SnapshotFiles.Config}: {problem}");
        }

        if (OfDifference(folder, state) is { } difference)
        {
            problems.Add(difference);
        }

        if (problems.Count > 0)
        {
            return problems;
        }

        var image = new MemoryImage(Path.Combine(folder, SnapshotFiles.Memory), state.Memory, MemoryRestoreMode.Copy, prefault: false);
        return [.. Find(image, state, config), .. ArrivingNetworks.Obstacles(config), .. BackendObstacles(config)];
    }

    /// <summary>
    /// What a restore asks before it begins. Interfaces are none of it, since opening them twice takes a while, nor are back ends, for which it waits: who is
    /// refused by these has had nothing changed but is told later.
    /// </summary>
    /// <param name="config">Valid.</param>
    internal static List<string> Find(MemoryImage image, MachineState state, VmConfig config)
    {
        List<string> obstacles = [];
        try
        {
            obstacles.AddRange(image.Obstacles(VirtualMachine.PlanRam(config, state)));
        }
        catch (Exception e) when (e is MachineBuildException or MachineLayoutException)
        {
            obstacles.Add(e.Message);
        }

        obstacles.AddRange(DiskObstacles(state, config));
        obstacles.AddRange(ArrivingFolders.Obstacles(config));
        obstacles.AddRange(SocketObstacles(config));
        return obstacles;
    }

    /// <summary>Why a snapshot alone cannot be restored; null if it is whole.</summary>
    internal static string? OfDifference(string folder, MachineState state) => state.Memory.Parent is null
        ? null
        : $"{folder} is a difference to another snapshot: merge the two first (cnvm snapshot merge)";

    /// <summary>A guest does not bear a disk that has become another one behind its back.</summary>
    private static IEnumerable<string> DiskObstacles(MachineState state, VmConfig config)
    {
        foreach (DiskConfig disk in config.Disks ?? [])
        {
            VirtioDeviceState? saved = DeviceOf(Array.Find(state.Virtio, s => s.Id == disk.Id));
            string? problem = disk.VhostUser ? null
                : saved is BlockState block ? DeviceFactory.DiskObstacle(disk, block.Sectors)
                : "the saved guest has no such disk: take it out of the configuration, and plug it in when the guest runs";
            if (problem is not null)
            {
                yield return $"disk {disk.Id}: {problem}";
            }
        }
    }

    private static VirtioDeviceState? DeviceOf(VirtioSlotState? slot) => (slot?.Pci?.Transport ?? slot?.Mmio?.Transport)?.Device;

    /// <summary>Sockets that this program is to serve.</summary>
    private static IEnumerable<string> SocketObstacles(VmConfig config)
    {
        string?[] problems =
        [
            Problem("serial", config.Serial.Mode == ConsoleMode.Socket ? config.Serial.Socket : null),
            Problem("console", config.Console.Mode == ConsoleMode.Socket ? config.Console.Socket : null),
            Problem($"vsock {config.Vsock?.Id}", config.Vsock?.Socket),
        ];
        return problems.OfType<string>();

        static string? Problem(string field, string? socket) =>
            socket is not null && UnixListener.Obstacle(socket) is { } problem ? $"{field}: {problem}" : null;
    }

    /// <summary>Sockets of vhost-user back ends that are not there. They are not spoken to: a back end may end with its first connection.</summary>
    private static IEnumerable<string> BackendObstacles(VmConfig config)
    {
        string?[] problems =
        [
            .. (config.Disks ?? []).Select(d => d.VhostUser ? Problem("disk", d.Id, d.VhostSocket) : null),
            .. (config.Fs ?? []).Select(f => f.Socket is not null ? Problem("fs", f.Id, f.Socket) : null),
            .. (config.Net ?? []).Select(n => n.VhostUser && n.VhostMode == VhostMode.Client ? Problem("net", n.Id, n.VhostSocket) : null),
        ];
        return problems.OfType<string>();

        static string? Problem(string kind, string? id, string? socket) =>
            UnixStream.Obstacle(socket!) is { } problem ? $"{kind} {id}: {problem}: start the vhost-user back end first" : null;
    }
}
