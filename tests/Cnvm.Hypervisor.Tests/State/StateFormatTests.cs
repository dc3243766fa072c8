using System.Buffers.Binary;
using Cnvm.Fuzz;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Tests.State;

namespace Cnvm.Hypervisor.Tests.State;

public sealed class StateFormatTests
{
    private static readonly byte[] Vcpu = StateWriter.Write(Sample(), VcpuElements.Describe);

    [Fact]
    public void EveryPropertyOfAVcpuComesBack()
    {
        VcpuState read = StateReader.Read<VcpuState>(Vcpu, VcpuElements.Describe);
        Assert.Equal(Vcpu, StateWriter.Write(read, VcpuElements.Describe));

        VcpuState sample = Sample();
        Assert.Equal(sample.General, read.General);
        Assert.Equal(sample.System, read.System);
        Assert.Equal(sample.Events, read.Events);
        Assert.Equal(sample.Msrs.AsEnumerable(), read.Msrs);
        Assert.Equal(sample.Cpuid, read.Cpuid);
        Assert.Equal(sample.Xsave.AsEnumerable(), read.Xsave);
        Assert.Equal(sample.Lapic.AsEnumerable(), read.Lapic);
        Assert.Equal(sample.DebugAddresses.AsEnumerable(), read.DebugAddresses);
        Assert.Equal(
            (sample.MpState, sample.Xcr0, sample.Dr6, sample.Dr7, sample.TscKhz, sample.TscTimestamp),
            (read.MpState, read.Xcr0, read.Dr6, read.Dr7, read.TscKhz, read.TscTimestamp));
    }

    [Fact]
    public void EveryCutIsRefused()
    {
        for (int length = 0; length < Vcpu.Length; length++)
        {
            byte[] cut = Vcpu[..length];
            Assert.Throws<StateFormatException>(() => StateReader.Read<VcpuState>(cut, VcpuElements.Describe));
        }
    }

    [Fact]
    public void EveryFlippedBitIsRefused()
    {
        byte[] damaged = [.. Vcpu];
        for (int bit = 0; bit < damaged.Length * 8; bit++)
        {
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<StateFormatException>(() => StateParser.Open(damaged));
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void HostileBytesWithARightChecksumEndInRefusalOrAState()
    {
        var random = new Random(SeededRuns.First(5));
        DateTime end = DateTime.UtcNow.AddSeconds(Math.Max(1, SeededRuns.Seconds()));
        int refused = 0;
        while (DateTime.UtcNow < end)
        {
            byte[] hostile = Mutate(random);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                StateReader.Read<VcpuState>(hostile, VcpuElements.Describe);
                StateNode.Parse(hostile);
            }
            catch (StateFormatException)
            {
                refused++;
            }

            // Allocation follows what is there, not what lengths promise.
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
        }

        Assert.True(refused > 0);
    }

    [Fact]
    public void AnUnknownMandatoryElementIsRefusedByName()
    {
        byte[] newer = StateWriter.Write(new Extended(7, 8), Extended.Describe);
        var e = Assert.Throws<StateFormatException>(() => StateReader.Read<Plain>(newer, Plain.Describe));
        Assert.Contains("state/added: this program does not know element 2", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnUnknownIgnorableElementIsPassedOver()
    {
        byte[] newer = StateWriter.Write(new Extended(7, 8), Extended.DescribeIgnorable);
        Assert.Equal(new Plain(7), StateReader.Read<Plain>(newer, Plain.Describe));
    }

    [Fact]
    public void AnElementThatAnOlderStateLacksHasItsDefault() =>
        Assert.Equal(new Extended(7, 42), StateReader.Read<Extended>(StateWriter.Write(new Plain(7), Plain.Describe), Extended.Describe));

    [Fact]
    public void AMissingElementIsNamed()
    {
        byte[] state = StateWriter.Write(new Plain(7), Plain.Describe);
        var e = Assert.Throws<StateFormatException>(
            () => StateReader.Read<Plain>(state, static (v, _) => new Plain(v.U32(1, "number", null) + v.U32(3, "other", null))));
        Assert.Equal("state/other: the element is missing", e.Message);
    }

    [Fact]
    public void AnElementOfAnotherTypeIsRefused()
    {
        byte[] state = StateWriter.Write(new Plain(7), Plain.Describe);
        var e = Assert.Throws<StateFormatException>(() => StateReader.Read<Plain>(state, static (v, _) => new Plain((uint)v.U64(1, "number", null))));
        Assert.Contains("type U32", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ANewerFormatIsRefusedByItsVersion()
    {
        byte[] state = [.. Vcpu];
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(8), 2);
        var e = Assert.Throws<StateFormatException>(() => StateParser.Open(state));
        Assert.Contains("version 2", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ATreeShowsEveryElementAndFindsDifferences()
    {
        StateNode tree = StateNode.Parse(Vcpu);
        string text = StateText.ToText(tree);
        Assert.Contains("rip: 0x", text, StringComparison.Ordinal);
        Assert.Contains("\"tsc_khz\"", System.Text.Encoding.UTF8.GetString(StateText.ToJson(tree)), StringComparison.Ordinal);
        Assert.Empty(StateText.Differences(tree, StateNode.Parse(Vcpu)));
        VcpuState other = Sample() with { Dr7 = 0x400 };
        string difference = Assert.Single(StateText.Differences(tree, StateNode.Parse(StateWriter.Write(other, VcpuElements.Describe))));
        Assert.StartsWith("/dr7: ", difference, StringComparison.Ordinal);
    }

    /// <summary>The file was written when version 1 was frozen; every later program reads it.</summary>
    [Fact]
    public void FormatVersion1IsReadAndWrittenAsItWas()
    {
        byte[] golden = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "State", "vcpu-v1.state"));
        Assert.Equal(golden, Vcpu);
        Assert.Equal(Sample().General, StateReader.Read<VcpuState>(golden, VcpuElements.Describe).General);
    }

    private static VcpuState Sample() => new StateFiller().Fill<VcpuState>();

    private static byte[] Mutate(Random random)
    {
        byte[] bytes = random.Next(8) == 0 ? Vcpu[..random.Next(32, Vcpu.Length)] : [.. Vcpu];
        for (int i = random.Next(1, 6); i > 0; i--)
        {
            int at = random.Next(24, bytes.Length);
            bytes[at] = random.Next(3) switch { 0 => 0xff, 1 => 0, _ => (byte)random.Next(256) };
        }

        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), (ulong)(bytes.Length - 24));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), Crc32C.Finish(Crc32C.Append(Crc32C.Append(Crc32C.Start, bytes.AsSpan(0, 12)), bytes.AsSpan(16))));
        return bytes;
    }

    private sealed record Plain(uint Number)
    {
        public static Plain Describe(StateVisitor v, Plain? s) => new(v.U32(1, "number", s?.Number));
    }

    private sealed record Extended(uint Number, uint Added)
    {
        public static Extended Describe(StateVisitor v, Extended? s) =>
            new(v.U32(1, "number", s?.Number), v.U32(2, "added", s?.Added, absent: 42));

        public static Extended DescribeIgnorable(StateVisitor v, Extended? s) =>
            new(v.U32(1, "number", s?.Number), v.U32(2, "added", s?.Added, absent: 42, ignorable: true));
    }
}
