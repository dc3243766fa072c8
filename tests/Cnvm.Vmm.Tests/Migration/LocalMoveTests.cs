using System.IO.Pipes;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Memory is handed over as descriptors and not copied.</summary>
public sealed class LocalMoveTests
{
    private const ulong FirstBytes = 0x20_0000;
    private const ulong SecondBytes = 0x10_0000;

    [Fact]
    public void The_target_has_the_same_memory_and_not_a_copy()
    {
        using Move move = MakeLocal();
        byte[] before = move.Departure.Memory.GetSpan(0, (int)FirstBytes).ToArray();
        move.Arrival.OnRun = () => Assert.True(move.Departure.Memory.GetSpan(0, (int)FirstBytes).SequenceEqual(before), "the memory was written too early");

        move.Run();

        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Completed, GuestPlace.There), (info.Phase, info.Guest));
        Assert.Equal(MigrationPhase.Completed, move.TargetProgress.Phase);
        Assert.Equal(FakeArrival.Side, move.World.Running);
        Assert.Equal((0u, 0ul, 0ul), (info.Rounds, info.DataPages, info.RemainingBytes));
        Assert.InRange(info.TransferredBytes, 1ul, 20_000ul);
        move.AssertMemoryArrived();
        Assert.False(move.Target.MayBeAsked);
        Assert.False(move.Departure.IsTracking);

        // And the source's process may end.
        move.Arrival.Memory.GetSpan(0x100_0000, 1)[0] = 77;
        Assert.Equal(77, move.Departure.Memory.GetSpan(0x100_0000, 1)[0]);
    }

    [Theory]
    [InlineData("prepare")]
    [InlineData("restore")]
    public void What_fails_before_the_order_to_run_leaves_the_guest_and_its_memory_at_the_source(string step)
    {
        using Move move = MakeLocal();
        byte[] before = move.Departure.Memory.GetSpan(0, (int)FirstBytes).ToArray();
        var failure = new MigrationException("it does not fit");
        move.Arrival.PrepareFailure = step == "prepare" ? failure : null;
        move.Arrival.RestoreFailure = step == "restore" ? failure : null;

        move.Run();

        Assert.Equal((MigrationPhase.Failed, GuestPlace.Here), (move.SourceProgress.Info().Phase, move.SourceProgress.Info().Guest));
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.Equal(step == "restore", move.Departure.WasStopped);
        Assert.True(move.Departure.Memory.GetSpan(0, (int)FirstBytes).SequenceEqual(before));
        Assert.True(move.Arrival.IsDiscarded);
    }

    /// <summary>It has the memory and may have written it: going on here would be with two guests' writes in one memory.</summary>
    [Fact]
    public void A_target_that_fails_to_run_leaves_the_guest_paused()
    {
        using Move move = MakeLocal();
        move.Arrival.RunFailure = new MigrationException("the host refuses");
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Unknown, GuestPlace.Unknown), (info.Phase, info.Guest));
        Assert.Contains("had taken the memory over", info.Error, StringComparison.Ordinal);
        Assert.Equal("", move.World.Running);
        Assert.True(move.Departure.IsStopped);
    }

    /// <summary>The target makes its machine around the memory and may write it, so a source that is given up waits until it has let go.</summary>
    [Theory]
    [InlineData("source is cancelled")]
    [InlineData("target is cancelled")]
    public void Given_up_while_the_target_makes_the_machine_the_source_waits_for_it(string what)
    {
        using Move move = MakeLocal();
        string there = "";
        move.Arrival.OnRestore = () =>
        {
            if (what == "source is cancelled")
            {
                move.SourceStop.Ask(what);
            }
            else
            {
                Assert.True(move.Target.TryCancel(what));
            }

            // Longer than a source waits for a target to hear its last words.
            Thread.Sleep(TimeSpan.FromSeconds(2.5));
            there = move.World.Running;
            move.Arrival.Memory.GetSpan(0x100_0000, 1)[0] = 78;
        };
        move.Arrival.OnDiscard = () => there += move.World.Running;
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal(("", GuestPlace.Here), (there, info.Guest));
        Assert.Contains(what, info.Error, StringComparison.Ordinal);
        Assert.Equal(what == "source is cancelled" ? MigrationPhase.Cancelled : MigrationPhase.Failed, info.Phase);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.True(move.Arrival.IsDiscarded);
    }

    [Theory]
    [InlineData("the connection is lost")]
    [InlineData("the target does not end")]
    [InlineData("the VMM ends")]
    public void Who_does_not_know_that_the_target_has_let_go_stays_paused(string what)
    {
        using Move move = MakeLocal(TimeSpan.FromSeconds(what == "the VMM ends" ? 100 : 1));
        bool hasEnded = false;
        move.Arrival.OnRestore = () =>
        {
            if (what == "the connection is lost")
            {
                move.SourceLink!.Abort();
            }
            else
            {
                if (what == "the VMM ends")
                {
                    move.SourceStop.End(what);
                }
                else
                {
                    move.SourceStop.Ask(what);
                }
            }

            hasEnded = move.WaitForSource();
        };
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((true, MigrationPhase.Unknown, GuestPlace.Unknown), (hasEnded, info.Phase, info.Guest));
        Assert.Contains("does not say that it has let go of it", info.Error, StringComparison.Ordinal);
        Assert.Equal("", move.World.Running);
        Assert.True(move.Departure.IsStopped);
        Assert.False(move.Source!.IsOrdered);
        Assert.True(move.Arrival.IsDiscarded);
    }

    [Fact]
    public void A_paused_guest_is_handed_over_and_stays_paused()
    {
        using Move move = MakeLocal(isPaused: true);
        move.Run();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Completed, GuestPlace.There, null), (info.Phase, info.Guest, info.DowntimeMs));
        Assert.False(move.Arrival.Resumed);
        move.AssertMemoryArrived();
        Assert.Equal(0u, info.Rounds);
    }

    /// <summary>Whoever passes bytes on loses the descriptors.</summary>
    [Fact]
    public void Without_its_descriptors_the_guest_stays()
    {
        using Move move = MakeLocal();
        using (var between = new Disturber(move.ProxyPath, move.TargetPath))
        {
            move.StartTarget();
            move.StartSource(move.ProxyPath);
            move.WaitForEnd();
        }

        Assert.Contains("0 descriptors came with a message of 2", move.SourceProgress.Info().Error, StringComparison.Ordinal);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.False(move.Departure.WasStopped);
    }

    [Theory]
    [InlineData("none", "1 descriptors were handed over, and the configuration needs 2")]
    [InlineData("fewer than said", "1 descriptors came with a message of 2")]
    [InlineData("more", "3 descriptors were handed over")]
    [InlineData("a pipe", "it is no memory file")]
    [InlineData("a file", "it is no memory file")]
    [InlineData("too small", "it has 1044480 bytes instead of 1048576")]
    [InlineData("too large", "it has 1052672 bytes instead of 1048576")]
    [InlineData("exchanged", "it has 1048576 bytes instead of 2097152")]
    [InlineData("may shrink", "its size may change")]
    [InlineData("another message", "message Pages is out of place here")]
    public void What_is_no_memory_of_the_guest_is_refused_and_closed(string what, string reason)
    {
        using Move move = MakeLocal();
        move.World.Stop(FakeDeparture.Side);
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        using FileDescriptor first = MemoryFile.Create("first", FirstBytes);
        using FileDescriptor second = MemoryFile.Create("second", what == "too small" ? SecondBytes - 4096 : what == "too large" ? SecondBytes + 4096 : SecondBytes);
        using FileDescriptor growing = new(Libc.memfd_create("growing", Libc.MFD_CLOEXEC));
        using FileStream file = File.OpenRead("/proc/self/cmdline");
        int pipeEnd = (int)pipe.ClientSafePipeHandle.DangerousGetHandle();
        int[] descriptors = what switch
        {
            "none" => [pipeEnd],
            "fewer than said" => [pipeEnd],
            "more" => [first.Value, second.Value, pipeEnd],
            "a file" => [pipeEnd, (int)file.SafeFileHandle.DangerousGetHandle()],
            "exchanged" => [second.Value, first.Value],
            "may shrink" => [first.Value, growing.Value],
            "a pipe" => [first.Value, pipeEnd],
            _ => [first.Value, second.Value],
        };
        move.StartTarget();
        using var source = new RawSource(move);
        source.Greet(MigrationWire.FeatureLocal);
        source.Offer(move.Departure.Offer);
        source.Attach(descriptors);
        if (what == "another message")
        {
            source.Writer.Write(FrameType.Pages, RawSource.Page(0, 1));
        }
        else
        {
            source.Writer.Write(FrameType.Memory, [.. RawSource.Number(what == "fewer than said" ? 2u : (uint)descriptors.Length), .. RawSource.Number(0)]);
        }

        (FrameType type, string text) = source.Read();
        Assert.Equal(FrameType.Failed, type);
        Assert.Contains(reason, text, StringComparison.Ordinal);
        source.Dispose();
        move.WaitForEnd();
        Assert.Equal(MigrationPhase.Failed, move.TargetProgress.Phase);
        Assert.Equal("", move.World.Running);

        // Nobody but this test has the pipe's other end any more.
        pipe.DisposeLocalCopyOfClientHandle();
        Assert.Equal(-1, pipe.ReadByte());
    }

    /// <summary>A file that was removed, or is another one now where its name is looked up, would be a guest on zeros.</summary>
    [Fact]
    public void A_file_with_a_name_is_handed_over_and_not_opened_again()
    {
        string path = Path.GetTempFileName();
        try
        {
            RamPiece[] plan = [new RamPiece(0, SecondBytes) { Shared = true, File = path }, new RamPiece(0x100_0000, 8192) { Shared = true, File = path, FileOffset = SecondBytes }];
            using GuestMemory here = GuestRamAllocator.Allocate(plan);
            here.GetSpan(0, 1)[0] = 5;
            here.GetSpan(0x100_0000, 1)[0] = 6;
            File.Delete(path);
            FileDescriptor[] handed = [.. HandedMemory.Of(here).Select(fd => new FileDescriptor(FileDescriptor.Duplicate(fd)))];
            Assert.Equal(2, handed.Length);
            using GuestMemory there = GuestRamAllocator.Allocate(new HandedMemory(handed).Place(plan));
            Assert.Equal((5, 6), (there.GetSpan(0, 1)[0], there.GetSpan(0x100_0000, 1)[0]));
            there.GetSpan(0x100_1000, 1)[0] = 7;
            Assert.Equal(7, here.GetSpan(0x100_1000, 1)[0]);
            Assert.False(File.Exists(path), "it was made anew");
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("too short", "it has 4096 bytes instead of 8192")]
    [InlineData("read only", "it cannot be written")]
    [InlineData("a pipe", "it is no file")]
    public void Another_file_than_the_one_with_the_name_is_refused_as_it_is(string what, string reason)
    {
        string path = Path.GetTempFileName();
        try
        {
            using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
            using FileStream file = new(path, FileMode.Open, what == "read only" ? FileAccess.Read : FileAccess.ReadWrite);
            if (what != "read only")
            {
                file.SetLength(4096);
            }

            nint descriptor = what == "a pipe" ? pipe.SafePipeHandle.DangerousGetHandle() : file.SafeFileHandle.DangerousGetHandle();
            var handed = new HandedMemory([new FileDescriptor(FileDescriptor.Duplicate((int)descriptor))]);
            RamPiece[] plan = [new RamPiece(0, 4096) { Shared = true, File = path, FileOffset = 4096 }];
            GuestRamException refusal = Assert.Throws<GuestRamException>(() => GuestRamAllocator.Allocate(handed.Place(plan)).Dispose());
            Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
            Assert.Equal(what == "read only" ? 0 : 4096, new FileInfo(path).Length);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Memory_that_others_cannot_map_is_named()
    {
        Assert.Null(HandedMemory.Obstacle([new RamPiece(0, 4096) { Shared = true }, new RamPiece(4096, 4096) { Shared = true, File = "/named" }]));
        Assert.Contains("memory: only memory that processes share", HandedMemory.Obstacle([new RamPiece(0, 4096)]), StringComparison.Ordinal);
        Assert.Contains("memory zone a: only", HandedMemory.Obstacle([new RamPiece(0, 4096) { ZoneId = "a", HugePages = true }]), StringComparison.Ordinal);
        Assert.Contains(
            "memory zone b: it lies in a file without a name in /tmp",
            HandedMemory.Obstacle([new RamPiece(0, 4096) { ZoneId = "b", Shared = true, File = "/tmp" }]),
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_of_another_process_is_named()
    {
        Assert.Null(VmmService.ServedElsewhere(new VmConfig
        {
            Disks = [new DiskConfig { Id = "d" }], Net = [new NetConfig { Id = "n" }], Fs = [new FsConfig { Id = "f" }], GenericVhostUser = [],
        }));
        Assert.Equal("d", VmmService.ServedElsewhere(new VmConfig { Disks = [new DiskConfig { Id = "c" }, new DiskConfig { Id = "d", VhostUser = true }] }));
        Assert.Equal("n", VmmService.ServedElsewhere(new VmConfig { Net = [new NetConfig { Id = "n", VhostUser = true }] }));
        Assert.Equal("f", VmmService.ServedElsewhere(new VmConfig { Fs = [new FsConfig { Id = "f", Socket = "/s" }] }));
        Assert.Equal("g", VmmService.ServedElsewhere(new VmConfig { GenericVhostUser = [new GenericVhostUserConfig { Id = "g" }] }));
    }

    private static Move MakeLocal(TimeSpan? asking = null, bool isPaused = false)
    {
        var move = new Move { AskingTime = asking ?? TimeSpan.FromSeconds(60) };
        move.Departure.Dispose();
        move.World.Stop(FakeDeparture.Side);
        move.Departure = FakeDeparture.Local(move.World, isPaused);
        MoveTests.Fill(move.Departure);
        return move;
    }
}
