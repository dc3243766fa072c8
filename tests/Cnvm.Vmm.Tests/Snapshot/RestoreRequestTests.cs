using System.Net.Sockets;
using Cnvm.Fuzz;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>What a request to restore asks for beside the folder, and snapshots that cannot be restored.</summary>
public sealed class RestoreRequestTests : IDisposable
{
    private const ulong MemoryBytes = 64 << 20;
    private readonly SnapshotService _service = new();

    public void Dispose() => _service.Dispose();

    /// <summary>
    /// As Kata makes a template: RAM in a zone's shared file, of the snapshot only the configuration, edited, and the state; clones map the
    /// file privately and go on, and the file stays as it was.
    /// </summary>
    [SkippableFact]
    public void A_template_lives_in_its_zones_file()
    {
        string ram = _service.File("template-memory");
        _service.StartPaused(c => c with { Memory = new MemoryConfig(Size: 0, Zones: [new MemoryZoneConfig("mem0", MemoryBytes, ram, Shared: true)]) });
        string folder = _service.Take("template");
        Assert.Equal([SnapshotFiles.Config, SnapshotFiles.State], Directory.GetFiles(folder).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        _service.Vmm.Delete();
        byte[] template = File.ReadAllBytes(ram);
        string clone = _service.Folder("clone");
        string config = File.ReadAllText(Path.Combine(folder, SnapshotFiles.Config));
        Assert.Contains("\"shared\":true", config, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(clone, SnapshotFiles.Config), config.Replace("\"shared\":true", "\"shared\":false", StringComparison.Ordinal));
        File.Copy(Path.Combine(folder, SnapshotFiles.State), Path.Combine(clone, SnapshotFiles.State));
        for (int i = 0; i < 2; i++)
        {
            _service.Vmm.Restore(new RestoreConfig($"file://{clone}", ZoneUpdates: []), []);
            Assert.Equal(VmState.Paused, _service.Vmm.Info().State);
            _service.GoesOn();
            _service.Vmm.Delete();
        }

        Assert.Equal(template, File.ReadAllBytes(ram));
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void All_memory_is_there_before_the_guest_goes_on_if_asked(bool prefault)
    {
        _service.StartPaused();
        string folder = _service.Take("one");
        _service.Vmm.Delete();
        _service.Vmm.Restore(new RestoreConfig($"file://{folder}", Prefault: prefault), []);
        ulong held = HeldBytes();
        Assert.True(prefault ? held == MemoryBytes : held < MemoryBytes / 2, $"{held} bytes are held");
        _service.GoesOn();
    }

    /// <summary>An interface whose queues came by descriptor gets new ones, as many as it had.</summary>
    [SkippableFact]
    public void Tap_queues_come_by_descriptor()
    {
        using TapQueue first = Tap();
        _service.StartPaused(c => c with { Net = [new NetConfig(Id: "net", Fds: [FileDescriptor.Duplicate(first.Fd)])] });
        string folder = _service.Take("one");
        _service.Vmm.Delete();
        var url = new RestoreConfig($"file://{folder}");
        Assert.Contains("net had TAP queues by descriptor", _service.Refused(url), StringComparison.Ordinal);
        using TapQueue second = Tap();
        using TapQueue third = Tap();
        FileDescriptor[] two = [new(FileDescriptor.Duplicate(second.Fd)), new(FileDescriptor.Duplicate(third.Fd))];
        Assert.Contains("'other' stands twice", _service.Refused(url with { NetFds = [new RestoredNet("other", 1)] }, two[..1]), StringComparison.Ordinal);
        Assert.Contains("needs as many descriptors, not 2", _service.Refused(url with { NetFds = [new RestoredNet("net", 2)] }, two), StringComparison.Ordinal);
        two[1].Dispose();
        _service.Vmm.Restore(url with { NetFds = [new RestoredNet("net", 1)] }, two[..1]);
        _service.GoesOn();
        Assert.Equal([two[0].Value], _service.Vmm.Info().Config.Net![0].Fds!);
    }

    /// <summary>An interface at a socket connects anew, there or where the request says; without anybody there the error says what to do.</summary>
    [SkippableFact]
    public void An_interface_at_a_socket_connects_anew()
    {
        string path = _service.File("net.sock");
        string other = _service.File("other.sock");
        using (Socket first = Listen(path))
        {
            _service.StartPaused(c => c with { Net = [new NetConfig(Id: "net", Socket: path)] });
            using Socket connection = first.Accept();
            Assert.Equal((1UL, 0UL), (_service.Vmm.Counters()["net"]["connected"], _service.Vmm.Counters()["net"]["reconnects"]));
        }

        var url = new RestoreConfig($"file://{_service.Take("one")}");
        _service.Vmm.Delete();
        Assert.Contains($"passt -s {path}", _service.Refused(url), StringComparison.Ordinal);
        NetOverride moved = new("net", Socket: other);
        Assert.Contains("is at a socket", _service.Refused(url with { NetOverrides = [new NetOverride("net", Tap: "tap7")] }), StringComparison.Ordinal);
        Assert.Contains("has no TAP queues", _service.Refused(url with { NetFds = [new RestoredNet("net", 0)] }), StringComparison.Ordinal);
        using Socket second = Listen(other);
        _service.Vmm.Restore(url with { NetOverrides = [moved] }, []);
        using Socket again = second.Accept();
        _service.GoesOn();
        Assert.Equal(other, _service.Vmm.Info().Config.Net![0].Socket);
    }

    [SkippableFact]
    public void What_the_snapshot_does_not_have_is_refused_by_name()
    {
        _service.StartPaused();
        var url = new RestoreConfig($"file://{_service.Take("one")}");
        _service.Vmm.Delete();
        Assert.Contains("no memory zone 'z'", _service.Refused(url with { ZoneUpdates = [new MemoryZoneUpdate("z", 0)] }), StringComparison.Ordinal);
        Assert.Contains("no interface 'n'", _service.Refused(url with { NetOverrides = [new NetOverride("n", Mac: "52:54:00:00:00:01")] }), StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_zone_moves_to_another_node_of_the_host()
    {
        _service.StartPaused(c => c with { Memory = new MemoryConfig(Size: 0, Zones: [new MemoryZoneConfig("mem0", MemoryBytes)]) });
        var url = new RestoreConfig($"file://{_service.Take("one")}");
        _service.Vmm.Delete();

        // Which node memory is on is refused by name as long as machines cannot be given one.
        Assert.Contains("host_numa_node", _service.Refused(url with { ZoneUpdates = [new MemoryZoneUpdate("mem0", 0)] }), StringComparison.Ordinal);
        _service.Vmm.Restore(url, []);
        _service.GoesOn();
    }

    /// <summary>Each is refused with the name of what is wrong; the snapshot's files stay as they are, and mended it is restored.</summary>
    [SkippableFact]
    public void Snapshots_that_cannot_be_are_refused_by_name()
    {
        _service.StartPaused();
        string folder = _service.Take("one", trackChanges: true);
        _service.GoesOn();
        string difference = _service.Take("difference", incremental: true);
        _service.Vmm.Delete();
        AssertRefused("is a difference to another snapshot", difference);
        string memory = Path.Combine(folder, SnapshotFiles.Memory);
        Damage(memory, bytes => [], "is cut off");
        Damage(memory, bytes => bytes[..(bytes.Length / 2)], "is cut off");
        Damage(memory, bytes => Flip(bytes, (int)Base + 77), $"{memory} is damaged: the checksum of bytes 0x1000000 to 0x1200000 is wrong");
        Damage(memory, null, memory);
        string state = Path.Combine(folder, SnapshotFiles.State);
        Damage(state, bytes => bytes[..^9], state);
        Damage(state, null, state);
        string config = Path.Combine(folder, SnapshotFiles.Config);
        Damage(config, bytes => bytes[..^9], config);
        Damage(config, null, config);

        // A machine that differs: less memory, more vCPUs, another profile, a device too many.
        Edit("\"size\":67108864", "\"size\":33554432", "memory");
        Edit("\"boot_vcpus\":1,\"max_vcpus\":1", "\"boot_vcpus\":2,\"max_vcpus\":2", "cpus.boot_vcpus: 2 vCPUs; the saved state has 1");
        Edit("\"payload\"", "\"platform\":{\"machine_profile\":\"microvm\"},\"payload\"", "microvm");
        Edit("\"watchdog\":false", "\"watchdog\":true", "there is no state for this device");
        _service.Vmm.Restore(new RestoreConfig($"file://{folder}"), []);
        _service.GoesOn();

        void Edit(string from, string to, string reason) => Damage(
            config,
            bytes =>
            {
                string text = System.Text.Encoding.UTF8.GetString(bytes);
                Assert.Contains(from, text, StringComparison.Ordinal);
                return System.Text.Encoding.UTF8.GetBytes(text.Replace(from, to, StringComparison.Ordinal));
            },
            reason);

        void Damage(string path, Func<byte[], byte[]>? change, string reason)
        {
            byte[] whole = File.ReadAllBytes(path);
            if (change is null)
            {
                File.Delete(path);
            }
            else
            {
                File.WriteAllBytes(path, change(whole));
            }

            AssertRefused(reason, folder);
            File.WriteAllBytes(path, whole);
        }

        void AssertRefused(string reason, string which)
        {
            string before = Listing(which);
            string message = _service.Refused(new RestoreConfig($"file://{which}", Resume: true));
            Assert.True(message.Contains(reason, StringComparison.OrdinalIgnoreCase), $"no '{reason}' in: {message}");
            Assert.Equal(before, Listing(which));
        }

        static string Listing(string which) => string.Join(
            '\n', Directory.GetFiles(which).Order(StringComparer.Ordinal).Select(f => $"{f} {new FileInfo(f).Length} {File.GetLastWriteTimeUtc(f).Ticks}"));
    }

    /// <summary>Nothing is compared before the guest runs, and everything afterwards: it is stopped, and the event names file and place.</summary>
    [SkippableFact]
    public void A_guest_that_went_on_from_damaged_memory_on_demand_is_stopped()
    {
        _service.StartPaused();
        string folder = _service.Take("one");
        _service.Vmm.Delete();
        string memory = Path.Combine(folder, SnapshotFiles.Memory);
        using (FileStream file = File.OpenWrite(memory))
        {
            file.Position = (long)MemoryBytes - 1;
            file.WriteByte(0xa5);
        }

        _service.Vmm.Restore(new RestoreConfig($"file://{folder}", MemoryRestoreMode: MemoryRestoreMode.OnDemand, Resume: true), []);
        Assert.True(SpinWait.SpinUntil(() => _service.Vmm.Events.After(0).Any(e => e.Event.Name == "shutdown"), TimeSpan.FromSeconds(60)));
        VmmEvent told = Assert.Single(_service.Vmm.Events.After(0), e => e.Event.Name == "memory-damaged").Event;
        Assert.Equal(
            ("vm", $"{memory} is damaged: the checksum of bytes 0x3e00000 to 0x4000000 is wrong"), (told.Source, told.Properties!["reason"]));
        Assert.True(SpinWait.SpinUntil(() => _service.Vmm.Info().State == VmState.Shutdown, TimeSpan.FromSeconds(10)));
    }

    /// <summary>Bytes anywhere in a snapshot's state, with a right checksum: the restore is refused or makes a machine, and the VMM lives.</summary>
    [SkippableFact]
    public void Hostile_states_end_in_refusal_or_a_machine()
    {
        _service.StartPaused();
        string folder = _service.Take("one");
        _service.Vmm.Delete();
        byte[] whole = SnapshotFolder.ReadStateBytes(folder);
        var random = new Random(SeededRuns.First(11));
        DateTime end = DateTime.UtcNow.AddSeconds(Math.Max(2, SeededRuns.Seconds()));
        int refused = 0;
        int restored = 0;
        while (DateTime.UtcNow < end || refused + restored < 10)
        {
            byte[] bytes = HostileState.Mutate(whole, random);
            File.WriteAllText(Path.Combine(folder, SnapshotFiles.State), $$"""{"format":"cnvm-state","version":1,"state":"{{Convert.ToBase64String(bytes)}}"}""");
            try
            {
                _service.Vmm.Restore(new RestoreConfig($"file://{folder}", MemoryRestoreMode: MemoryRestoreMode.OnDemand), []);
                restored++;
                _service.Vmm.Delete();
            }
            catch (VmmException)
            {
                refused++;
            }
        }

        Assert.True(refused > 0);
        File.WriteAllText(Path.Combine(folder, SnapshotFiles.State), $$"""{"format":"cnvm-state","version":1,"state":"{{Convert.ToBase64String(whole)}}"}""");
        _service.Vmm.Restore(new RestoreConfig($"file://{folder}"), []);
        _service.GoesOn();
    }

    /// <summary>The same for the memory file, packed and as it is: what is copied is compared with checksums.</summary>
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void Damaged_memory_ends_in_refusal_or_a_machine(bool compress)
    {
        _service.StartPaused();
        string folder = _service.Folder("one");
        _service.Vmm.Snapshot(new VmSnapshotConfig($"file://{folder}", Compress: compress));
        _service.Vmm.Delete();
        string memory = Path.Combine(folder, SnapshotFiles.Memory);
        byte[] whole = File.ReadAllBytes(memory);
        int refused = 0;
        SeededRuns.Repeat(6, seed =>
        {
            var random = new Random(seed);
            byte[] damaged = [.. whole];
            for (int n = random.Next(1, 4); n > 0; n--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            File.WriteAllBytes(memory, random.Next(5) == 0 ? damaged[..random.Next(damaged.Length)] : damaged);
            try
            {
                _service.Vmm.Restore(new RestoreConfig($"file://{folder}"), []);
                _service.Vmm.Delete();
            }
            catch (VmmException)
            {
                refused++;
            }
        });
        Assert.True(refused > 0);
        File.WriteAllBytes(memory, whole);
        _service.Vmm.Restore(new RestoreConfig($"file://{folder}"), []);
        _service.GoesOn();
    }

    private static byte[] Flip(byte[] bytes, int at)
    {
        byte[] damaged = [.. bytes];
        damaged[at] ^= 1;
        return damaged;
    }

    private static Socket Listen(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        socket.Listen(4);
        return socket;
    }

    private static TapQueue Tap()
    {
        Skip.IfNot(Environment.IsPrivilegedProcess && File.Exists("/dev/net/tun"), "making a TAP interface needs root and /dev/net/tun");
        return TapQueue.Open("cnvmsnap%d", multiQueue: false);
    }

    /// <summary>How much of the machine's RAM this process holds.</summary>
    private ulong HeldBytes()
    {
        nint address = _service.Vmm.Machine().Ram.Memory.Regions[0].HostAddress;
        using ResidentPages resident = ResidentPages.TryOpen()!;
        var pages = new ulong[MemoryBytes >> 12];
        resident.Read(address, pages);
        return (ulong)pages.Count(ResidentPages.IsHeld) << 12;
    }
}
