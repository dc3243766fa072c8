using Cnvm.Api;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>What a snapshot needs of the host that is to go on with it.</summary>
public sealed class SnapshotObstaclesTests : IDisposable
{
    private const int DiskBytes = 1 << 20;
    private readonly SnapshotService _service = new();

    private string Ram => _service.File("ram");

    private string Disk => _service.File("disk");

    private string Shared => _service.File("shared");

    private string Vsock => _service.File("vsock");

    public void Dispose() => _service.Dispose();

    /// <summary>By name, by who only asks and by a restore, which then has made nothing: neither sockets nor the files that it would otherwise make.</summary>
    [SkippableFact]
    public void What_is_missing_is_named_before_anything_is_made()
    {
        string folder = Take();
        string memory = Path.Combine(folder, SnapshotFiles.Memory);
        Assert.Empty(Find(folder));
        Spoil(memory, () => File.WriteAllBytes(memory, new byte[100]), $"memory: {memory} is cut off: it has 100 bytes, the snapshot needs {48 << 20}");
        Spoil(memory, () => File.Delete(memory), $"memory: {memory}, which has the snapshot's memory, cannot be used: open {memory}: ");
        Spoil(Ram, () => File.Delete(Ram), $"memory (zone z): its contents are not in the snapshot but in {Ram}, which is to be as it was then: open {Ram}: ");
        Spoil(Ram, () => File.WriteAllBytes(Ram, new byte[4096]), $"memory (zone z): its contents are not in the snapshot but in {Ram}, which is to be as it was then: it is cut off: it has 4096 bytes");
        Spoil(Disk, () => File.Delete(Disk), $"disk data: disk {Disk} cannot be opened (no such file)");
        Spoil(Disk, () => File.WriteAllBytes(Disk, new byte[DiskBytes - 512]), $"disk data: disk {Disk}: the disk had 2048 sectors and has 2047 now");
        Directory.Delete(Shared);
        AssertNamed(folder, $"fs share: there is no folder {Shared}");
        Directory.CreateDirectory(Shared);
        using (var other = new DiskFile(Disk, readOnly: false, direct: false))
        {
            Assert.True(other.TryLock(exclusive: true, 0));
            AssertNamed(folder, $"disk data: disk {Disk} is in use by another disk or process");
        }

        using (UnixListener other = UnixListener.Bind(Vsock, 1))
        {
            AssertNamed(folder, $"vsock sock: {Vsock} is served by another process", vsockIsThere: true);
        }

        File.WriteAllText(Vsock, "somebody's notes");
        AssertNamed(folder, $"vsock sock: {Vsock} is there already and is no socket", vsockIsThere: true);
        File.Delete(Vsock);
        _service.Vmm.Restore(new RestoreConfig($"file://{folder}"), []);
        _service.GoesOn();

        void Spoil(string path, Action spoil, string obstacle)
        {
            byte[] whole = File.ReadAllBytes(path);
            spoil();
            AssertNamed(folder, obstacle);
            File.WriteAllBytes(path, whole);
        }
    }

    /// <summary>Several at once are told at once.</summary>
    [SkippableFact]
    public void All_obstacles_are_named()
    {
        string folder = Take();
        File.Delete(Disk);
        File.Delete(Ram);
        File.Delete(Path.Combine(folder, SnapshotFiles.Memory));
        Directory.Delete(Shared);
        string[] expected = ["memory (zone z): ", "memory: ", "disk data: ", "fs share: "];
        IReadOnlyList<string> found = Find(folder);
        Assert.Equal(expected.Length, found.Count);
        Assert.All(expected.Zip(found), pair => Assert.StartsWith(pair.First, pair.Second, StringComparison.Ordinal));
        string refusal = _service.Refused(new RestoreConfig($"file://{folder}"));
        Assert.All(found, obstacle => Assert.Contains(obstacle, refusal, StringComparison.Ordinal));
        Assert.False(File.Exists(Ram));
    }

    /// <summary>An edited configuration is looked at as it is now.</summary>
    [SkippableFact]
    public void Edited_configurations_are_looked_at_as_they_are()
    {
        string folder = Take();
        VmConfig config = Config(folder);
        MachineState state = SnapshotFolder.ReadState(folder);
        string missing = _service.File("missing");
        Assert.StartsWith(
            $"net n: there is no socket {missing}: start the program", Single(config with { Net = [new NetConfig(Id: "n", Socket: missing)] }), StringComparison.Ordinal);
        Assert.StartsWith("config.json: disks[0].queue_size: ", Single(config with { Disks = [config.Disks![0] with { QueueSize = 3 }] }), StringComparison.Ordinal);
        Assert.Equal(
            "disk more: the saved guest has no such disk: take it out of the configuration, and plug it in when the guest runs",
            Single(config with { Disks = [.. config.Disks!, new DiskConfig(missing, Id: "more")] }));
        Assert.Contains(
            "the configuration has 1 ranges of RAM, the snapshot 2", Single(config with { Memory = new MemoryConfig(64 << 20) }), StringComparison.Ordinal);
        Assert.Equal(
            [$"{folder} is a difference to another snapshot: merge the two first (cnvm snapshot merge)"],
            SnapshotObstacles.Find(folder, state with { Memory = state.Memory with { Parent = new byte[16] } }, config));

        string Single(VmConfig edited) => Assert.Single(SnapshotObstacles.Find(folder, state, edited));
    }

    /// <summary>Back ends that are to be there first; where the VMM is the one that serves, nobody is waited for.</summary>
    [SkippableFact]
    public void Vhost_user_back_ends_that_are_not_there_are_named()
    {
        const string Start = ": start the vhost-user back end first";
        _service.StartPaused(c => c with { Memory = c.Memory with { Shared = true } });
        string folder = _service.Take("one");
        MachineState state = SnapshotFolder.ReadState(folder);
        string disk = _service.File("disk.sock");
        string share = _service.File("fs.sock");
        string net = _service.File("net.sock");
        VmConfig config = Config(folder) with
        {
            Disks = [new DiskConfig(VhostUser: true, VhostSocket: disk, Id: "data")],
            Fs = [new FsConfig("tag", share, Id: "share")],
            Net =
            [
                new NetConfig(VhostUser: true, VhostSocket: net, Id: "n"),
                new NetConfig(VhostUser: true, VhostSocket: _service.File("served.sock"), VhostMode: VhostMode.Server, Id: "served"),
            ],
        };
        Assert.Equal(
            [$"disk data: there is no socket {disk}{Start}", $"fs share: there is no socket {share}{Start}", $"net n: there is no socket {net}{Start}"],
            SnapshotObstacles.Find(folder, state, config));
        File.WriteAllText(net, "somebody's notes");
        using UnixListener first = UnixListener.Bind(disk, 1);
        using UnixListener second = UnixListener.Bind(share, 1);
        Assert.Equal([$"net n: {net} is no socket{Start}"], SnapshotObstacles.Find(folder, state, config));
        File.Delete(net);
        using UnixListener third = UnixListener.Bind(net, 1);
        Assert.Empty(SnapshotObstacles.Find(folder, state, config));

        // Nobody was spoken to: a back end may end with its first connection.
        Assert.All([first, second, third], l => Assert.Null(l.Accept()));
    }

    private static VmConfig Config(string folder) => new VmConfigCodec().Read(SnapshotFolder.ReadConfig(folder));

    private static IReadOnlyList<string> Find(string folder) => SnapshotObstacles.Find(folder, SnapshotFolder.ReadState(folder), Config(folder));

    private void AssertNamed(string folder, string obstacle, bool vsockIsThere = false)
    {
        Assert.StartsWith(obstacle, Assert.Single(Find(folder)), StringComparison.Ordinal);
        bool hadRam = File.Exists(Ram);
        Assert.Contains(obstacle, _service.Refused(new RestoreConfig($"file://{folder}")), StringComparison.Ordinal);
        Assert.Equal((hadRam, vsockIsThere), (File.Exists(Ram), File.Exists(Vsock)));
    }

    /// <summary>A snapshot of a guest with a zone in a file, a disk, a shared folder and vsock; no VM is there afterwards.</summary>
    private string Take()
    {
        File.WriteAllBytes(Disk, new byte[DiskBytes]);
        Directory.CreateDirectory(Shared);
        _service.StartPaused(c => c with
        {
            Memory = new MemoryConfig(
                Size: 0, Thp: false, Zones: [new MemoryZoneConfig("mem0", 48 << 20, Shared: true), new MemoryZoneConfig("z", 16 << 20, Ram, Shared: true)]),
            Disks = [new DiskConfig(Disk, Id: "data", ImageType: ImageType.Raw)],
            Fs = [new FsConfig("tag", Path: Shared, Id: "share")],
            Vsock = new VsockConfig(3, Vsock, Id: "sock"),
        });
        string folder = _service.Take("one");
        _service.Vmm.Delete();
        return folder;
    }
}
