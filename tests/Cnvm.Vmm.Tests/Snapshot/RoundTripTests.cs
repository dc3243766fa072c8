using System.Buffers.Binary;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Kvm;
using Cnvm.Hypervisor.Soft;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using Microsoft.Extensions.Logging.Abstractions;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>
/// A machine with the bare-metal payload, which writes a pattern into memory for ever, is saved on one hypervisor and goes on on another.
/// </summary>
public sealed class RoundTripTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-roundtrip-").FullName;
    private readonly byte[] _id = new byte[16];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [SkippableTheory]
    [InlineData("soft", "soft", MemoryRestoreMode.Copy)]
    [InlineData("soft", "soft", MemoryRestoreMode.OnDemand)]
    [InlineData("kvm", "kvm", MemoryRestoreMode.Copy)]
    [InlineData("kvm", "kvm", MemoryRestoreMode.OnDemand)]
    [InlineData("kvm", "soft", MemoryRestoreMode.Copy)]
    [InlineData("soft", "kvm", MemoryRestoreMode.OnDemand)]
    public void What_is_saved_restores_elsewhere_to_the_same_and_goes_on(string from, string to, MemoryRestoreMode mode)
    {
        string payload = Image();
        using IHypervisor first = Open(from);
        using IHypervisor second = Open(to);
        VmConfig config = Configure(payload, Profile(first, second));
        using var consoles = ConsoleSet.Open(config, () => { });
        using VirtualMachine a = VirtualMachine.Create(first, config, consoles, NullLoggerFactory.Instance, Unexpected);
        a.Start();
        WaitForRound(a, 2);
        a.Pause();
        MemoryState memory = WriteMemory(a, "a");
        MachineState saved = a.Save(_id, "test", memory);

        // Saving changes nothing.
        AssertSame(saved, a.Save(_id, "test", memory));

        // What is restored has gone through the format.
        MachineState read = StateReader.Read<MachineState>(StateWriter.Write(saved, MachineElements.Describe), MachineElements.Describe);
        var image = new MemoryImage(Path.Combine(_folder, "a"), read.Memory, mode, prefault: false);
        using VirtualMachine b = VirtualMachine.Restore(second, config, consoles, NullLoggerFactory.Instance, Unexpected, read, image);
        AssertSame(saved, b.Save(_id, "test", memory));
        ulong round = Round(b);
        Assert.Equal(Round(a), round);
        b.Resume();
        WaitForRound(b, round + 2);
        b.Pause();
        Assert.True(Round(a) == round, "the first machine ran while it was paused");
        AssertPattern(b);
        a.Resume();
        WaitForRound(a, round + 1);
    }

    /// <summary>A difference holds the pages that were written since, a failed one loses none, and merged it is a full snapshot.</summary>
    [SkippableTheory]
    [InlineData("soft")]
    [InlineData("kvm")]
    public void Differences_merge_into_what_the_memory_was(string name)
    {
        string payload = Image();
        using IHypervisor hypervisor = Open(name);
        VmConfig config = Configure(payload, CpusConfig.HostProfile);
        using var consoles = ConsoleSet.Open(config, () => { });
        using VirtualMachine a = VirtualMachine.Create(hypervisor, config, consoles, NullLoggerFactory.Instance, Unexpected);
        a.Start();
        WaitForRound(a, 1);
        a.Pause();
        string full = WriteFolder(a, "full", null, 1);
        a.TrackChanges(Id(1));
        RunFor(a, rounds: 2);

        // One that fails on the way.
        string failed = Directory.CreateDirectory(Path.Combine(_folder, "failed")).FullName;
        Assert.Throws<SnapshotException>(() => SnapshotFolder.Write(
            failed,
            "{}"u8,
            f =>
            {
                a.Changes!.Collect();
                throw new IOException("No space left on device");
            },
            () => throw new InvalidOperationException()));
        string first = WriteFolder(a, "first", a.Changes, 2);
        long dirty = SnapshotFolder.ReadState(first).Memory.Ranges.Sum(r => r.Pages.Sum(w => (long)System.Numerics.BitOperations.PopCount(w)));
        Assert.InRange(dirty, (long)Pages, (long)Pages + 64);
        RunFor(a, rounds: 2);
        string second = WriteFolder(a, "second", a.Changes, 3);

        string both = Directory.CreateDirectory(Path.Combine(_folder, "both")).FullName;
        string all = Directory.CreateDirectory(Path.Combine(_folder, "all")).FullName;
        SnapshotMerge.Merge(first, second, both);
        SnapshotMerge.Merge(full, both, all);
        Assert.Throws<SnapshotException>(() => SnapshotMerge.Merge(full, second, failed));
        MachineState merged = SnapshotFolder.ReadState(all);
        Assert.Null(merged.Memory.Parent);
        Assert.Equal(a.Ram.Memory.GetSpan(0, 64 << 20).ToArray(), File.ReadAllBytes(Path.Combine(all, SnapshotFiles.Memory)));
        var image = new MemoryImage(Path.Combine(all, SnapshotFiles.Memory), merged.Memory, MemoryRestoreMode.Copy, prefault: false);
        using VirtualMachine b = VirtualMachine.Restore(hypervisor, config, consoles, NullLoggerFactory.Instance, Unexpected, merged, image);
        b.Resume();
        WaitForRound(b, Round(a) + 1);
    }

    private static byte[] Id(byte n) => [.. Enumerable.Repeat(n, 16)];

    private static void RunFor(VirtualMachine machine, ulong rounds)
    {
        ulong round = Round(machine);
        machine.Resume();
        WaitForRound(machine, round + rounds);
        machine.Pause();
    }

    private string WriteFolder(VirtualMachine machine, string name, DirtyPages? changes, byte id)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        MemoryState memory = MemoryFileWriter.Plan(machine.Ram) with { Parent = changes?.Parent };
        SnapshotFolder.Write(
            folder,
            "{}"u8,
            f => memory = MemoryFileWriter.Write(f, memory, machine.Ram.Memory, changes?.Collect()),
            () => machine.Save(Id(id), "test", memory));
        changes?.Saved(Id(id));
        return folder;
    }

    /// <summary>Every element is the same but what names the hypervisor or follows the host's clocks.</summary>
    private static void AssertSame(MachineState a, MachineState b)
    {
        for (int i = 0; i < a.Vcpus.Length; i++)
        {
            Assert.Equal("", VcpuStateComparison.Differences(a.Vcpus[i].State, b.Vcpus[i].State));
            Assert.Equal((a.Vcpus[i].Index, a.Vcpus[i].ApicId, a.Vcpus[i].State.TscKhz), (b.Vcpus[i].Index, b.Vcpus[i].ApicId, b.Vcpus[i].State.TscKhz));
        }

        Assert.Empty(StateText.Differences(Tree(a), Tree(b)));
        static StateNode Tree(MachineState s) => StateNode.Parse(StateWriter.Write(
            s with { Hypervisor = "", Vcpus = [SampleState.Make().Vcpus[0]], Clock = s.Clock with { RealtimeNanoseconds = 0, HostTsc = 0 } },
            MachineElements.Describe));
    }

    /// <summary>What the first has and the second has too, with the TSC frequency of the one that cannot choose.</summary>
    private string Profile(IHypervisor a, IHypervisor b)
    {
        string hidden = string.Join(',', CpuFeature.Missing(a.SupportedCpuid, b.SupportedCpuid).Select(f =>
            $$"""{"leaf":"0x{{f.Leaf:x}}","subleaf":"0x{{f.Subleaf:x}}","modifiers":[{"register":"{{f.Register.ToString().ToLowerInvariant()}}","bitmap":"0b0{{new string('x', f.Bit)}}"}]}"""));
        uint khz = new[] { a, b }.Where(h => !h.Capabilities.TscScaling).Select(h => h.GuestTscKhz).FirstOrDefault();
        string path = Path.Combine(_folder, "profile.json");
        File.WriteAllText(path, $$"""{"name":"both","tsc_khz":{{khz}},"cpuid_modifiers":[{{hidden}}]}""");
        return path;
    }

    private MemoryState WriteMemory(VirtualMachine machine, string name)
    {
        using var file = File.OpenHandle(Path.Combine(_folder, name), FileMode.CreateNew, FileAccess.Write);
        return MemoryFileWriter.Write(file, MemoryFileWriter.Plan(machine.Ram), machine.Ram.Memory);
    }

    /// <summary>Pages hold this round or the one before it, and the end of each its complement.</summary>
    private static void AssertPattern(VirtualMachine machine)
    {
        ulong last = Round(machine);
        for (ulong page = 0; page < Pages; page++)
        {
            ReadOnlySpan<byte> bytes = machine.Ram.Memory.GetSpan(Base + (page << 12), 4096);
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            Assert.Equal(page, value >> 32);
            Assert.InRange(value & 0xffff_ffff, last, last + 1);

            // The machine may have stopped between the two ends of the page that was written last.
            ulong oldest = page == Pages - 1 ? last - 1 : last;
            Assert.InRange(~BinaryPrimitives.ReadUInt64LittleEndian(bytes[4088..]) & 0xffff_ffff, oldest, last + 1);
        }
    }
}
