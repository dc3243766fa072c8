using System.Diagnostics;
using Cnvm.Api;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging.Abstractions;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary><c>vm.snapshot</c> and <c>vm.restore</c> of a machine that runs, with a host on which things go wrong.</summary>
public sealed class SnapshotRequestTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-requests-").FullName;
    private readonly VmmThread _thread = new();
    private readonly FaultyHypervisor _host = new(Open("soft"));
    private readonly VmmService _service;
    private string? _mounted;

    public SnapshotRequestTests() => _service = new VmmService(
        new VmmOptions
        {
            OpenHypervisor = () => _host,
            Ping = new VmmPing("v1", "1", 1, []),
            Logging = NullLoggerFactory.Instance,
            ConfigCodec = new VmConfigCodec(),
            OnExit = _ => { },
        },
        _thread);

    public void Dispose()
    {
        _thread.Dispose();
        _service.Dispose();
        if (_mounted is { } place)
        {
            Run("umount", place);
        }

        Directory.Delete(_folder, recursive: true);
    }

    [SkippableFact]
    public void A_snapshot_that_cannot_record_changes_leaves_no_files()
    {
        StartPaused();
        _host.FailsToLog = true;
        string folder = Folder("one");
        VmmException e = Assert.Throws<VmmException>(() => _service.Snapshot(new VmSnapshotConfig($"file://{folder}", TrackChanges: true)));
        Assert.Contains("there is no dirty log", e.InnerException!.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder));
        GoesOn();

        // Nothing is half on: the next difference has nothing to be a difference to.
        _host.FailsToLog = false;
        Assert.Equal(VmmErrorKind.Invalid, Assert.Throws<VmmException>(() => _service.Snapshot(new VmSnapshotConfig($"file://{folder}", Incremental: true))).Kind);
        _service.Snapshot(new VmSnapshotConfig($"file://{folder}", TrackChanges: true));
    }

    [SkippableFact]
    public void A_full_snapshot_begins_the_record_anew_and_a_failed_one_does_not()
    {
        StartPaused();
        string first = Take("first", trackChanges: true);
        GoesOn();
        _host.FailsToCollect = true;
        string failed = Folder("failed");
        Assert.Throws<VmmException>(() => _service.Snapshot(new VmSnapshotConfig($"file://{failed}", TrackChanges: true)));
        Assert.Empty(Directory.GetFiles(failed));
        _host.FailsToCollect = false;
        string difference = Take("difference", incremental: true);
        Assert.Equal(SnapshotFolder.ReadState(first).Id, SnapshotFolder.ReadState(difference).Memory.Parent);
        GoesOn();
        string second = Take("second", trackChanges: true);
        Assert.Null(SnapshotFolder.ReadState(second).Memory.Parent);
        string nothing = Take("nothing", incremental: true);
        MemoryState memory = SnapshotFolder.ReadState(nothing).Memory;
        Assert.Equal(SnapshotFolder.ReadState(second).Id, memory.Parent);
        Assert.Equal(0, memory.Ranges.Sum(r => r.Pages.Sum(w => (long)System.Numerics.BitOperations.PopCount(w))));
    }

    /// <summary>Looking at a machine changes nothing: it runs on, and is what it was.</summary>
    [SkippableFact]
    public void The_state_of_a_running_machine_is_that_of_its_snapshot()
    {
        StartPaused();
        MachineState seen = Read(_service.State());
        string folder = Take("one");
        MachineState saved = SnapshotFolder.ReadState(folder);
        Assert.Equal("", Cnvm.Hypervisor.State.VcpuStateComparison.Differences(saved.Vcpus[0].State, seen.Vcpus[0].State));
        Assert.Equal(saved.VmTime, seen.VmTime);
        Assert.All(seen.Memory.Ranges, r => Assert.False(r.IsSaved));
        _service.Resume();
        ulong round = Round(_service.Machine());
        Assert.True(Read(_service.State()).VmTime > saved.VmTime);
        Assert.Equal(VmState.Running, _service.Info().State);
        WaitForRound(_service.Machine(), round + 1);
        static MachineState Read(VmSavedState state) => StateReader.Read<MachineState>(Convert.FromBase64String(state.State), MachineElements.Describe);
    }

    [SkippableFact]
    public void A_restore_that_cannot_resume_leaves_no_vm()
    {
        StartPaused();
        string folder = Take("one");
        _service.Delete();

        // Once for the restore; not again when the guest should go on.
        _host.ClocksLeft = 1;
        VmmException e = Assert.Throws<VmmException>(() => _service.Restore(new RestoreConfig($"file://{folder}", Resume: true), []));
        Assert.Contains("resumed", e.Message, StringComparison.Ordinal);
        Assert.Equal(VmmErrorKind.NotFound, Assert.Throws<VmmException>(() => _service.Info()).Kind);
        _host.ClocksLeft = null;
        _service.Restore(new RestoreConfig($"file://{folder}", Resume: true), []);
        Assert.Equal(VmState.Running, _service.Info().State);
    }

    /// <summary>Compressed or not, a snapshot and what follows it merge into the same.</summary>
    [SkippableTheory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Compressed_snapshots_are_restored_and_merged(bool compressFull, bool compressDifference)
    {
        Skip.IfNot(Cnvm.Linux.Zstd.IsAvailable, "libzstd.so.1 is not installed");
        StartPaused();
        string full = Folder("full");
        _service.Snapshot(new VmSnapshotConfig($"file://{full}", TrackChanges: true, Compress: compressFull));
        GoesOn();
        string difference = Folder("difference");
        _service.Snapshot(new VmSnapshotConfig($"file://{difference}", Incremental: true, Compress: compressDifference));
        string reference = Take("reference");
        string merged = Folder("merged");
        SnapshotMerge.Merge(full, difference, merged);
        Assert.Null(SnapshotFolder.ReadState(merged).Memory.Zstd);
        Assert.Equal(File.ReadAllBytes(Path.Combine(reference, SnapshotFiles.Memory)), File.ReadAllBytes(Path.Combine(merged, SnapshotFiles.Memory)));
        _service.Delete();
        Assert.Equal(compressFull, SnapshotFolder.ReadState(full).Memory.Zstd is not null);
        _service.Restore(new RestoreConfig($"file://{full}"), []);
        GoesOn();
    }

    /// <summary>Memory that has a file of its own is in no snapshot, and a difference may be all devices.</summary>
    [Fact]
    public void Snapshots_without_memory_are_merged()
    {
        string full = Folder("full");
        string difference = Folder("difference");
        string merged = Folder("merged");
        MachineState state = SampleState.Make();
        MemoryState none = state.Memory with { Parent = null, Ranges = [state.Memory.Ranges[1]] };
        SnapshotFolder.Write(full, "{}"u8, null, () => state with { Memory = none });
        SnapshotFolder.Write(difference, "{}"u8, null, () => state with { Id = [.. state.Id.Reverse()], VmTime = 77, Memory = none with { Parent = state.Id } });
        SnapshotMerge.Merge(full, difference, merged);
        MachineState read = SnapshotFolder.ReadState(merged);
        Assert.Equal((77ul, null), (read.VmTime, read.Memory.Parent));
        Assert.False(File.Exists(Path.Combine(merged, SnapshotFiles.Memory)));
    }

    /// <summary>On a file system that is full, full and incremental snapshots fail by name, leave nothing and lose nothing.</summary>
    [SkippableFact]
    public void A_full_disk_is_named_and_costs_nothing()
    {
        string small = Mount("1m");

        // 64 KiB are left; the pattern's pages alone are 128 KiB.
        File.WriteAllBytes(Path.Combine(small, "other"), new byte[960 << 10]);
        StartPaused();
        AssertRefused(new VmSnapshotConfig($"file://{small}"));
        GoesOn();
        string full = Take("full", trackChanges: true);
        GoesOn();
        AssertRefused(new VmSnapshotConfig($"file://{small}", Incremental: true));
        GoesOn();
        string difference = Take("difference", incremental: true);
        string reference = Take("reference");
        string merged = Folder("merged");
        SnapshotMerge.Merge(full, difference, merged);
        Assert.Equal(File.ReadAllBytes(Path.Combine(reference, SnapshotFiles.Memory)), File.ReadAllBytes(Path.Combine(merged, SnapshotFiles.Memory)));

        void AssertRefused(VmSnapshotConfig request)
        {
            VmmException e = Assert.Throws<VmmException>(() => _service.Snapshot(request));
            Assert.Contains("No space left", e.InnerException!.Message, StringComparison.Ordinal);
            Assert.Equal(["other"], Directory.GetFiles(small).Select(Path.GetFileName));
            Assert.Equal(VmState.Paused, _service.Info().State);
        }
    }

    private void StartPaused()
    {
        _service.Create(Configure(Image(), "Host"));
        _service.Boot();
        WaitForRound(_service.Machine(), 1);
        _service.Pause();
    }

    /// <summary>The guest runs until it has written every page: it stands somewhere in a round, so the one after that is whole.</summary>
    private void GoesOn()
    {
        ulong round = Round(_service.Machine());
        _service.Resume();
        WaitForRound(_service.Machine(), round + 2);
        _service.Pause();
    }

    private string Folder(string name) => Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;

    private string Take(string name, bool trackChanges = false, bool incremental = false)
    {
        string folder = Folder(name);
        _service.Snapshot(new VmSnapshotConfig($"file://{folder}", trackChanges, incremental));
        return folder;
    }

    private string Mount(string size)
    {
        string place = Folder("small");
        Skip.IfNot(Environment.IsPrivilegedProcess && Run("mount", "-t", "tmpfs", "-o", $"size={size}", "none", place), "a small tmpfs cannot be mounted here");
        _mounted = place;
        return place;
    }

    private static bool Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
