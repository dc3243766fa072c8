using Cnvm.Devices.Bus;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Pci;

public sealed class PciHostTests
{
    private readonly PciFixture _pci = new();

    [Fact]
    public void Host_bridge_is_in_slot_0_by_both_mechanisms()
    {
        Assert.Equal(0x0d57_8086u, _pci.Memory.In32(PciFixture.Ecam));
        _pci.Ports.Out32(0xcf8, 0x8000_0000);
        Assert.Equal(0x0d57_8086u, _pci.Ports.In32(0xcfc));
        Assert.Equal(0x0d57, _pci.Ports.In16(0xcfe));
        _pci.Ports.Out32(0xcf8, 0x8000_0008);
        Assert.Equal(0x0600_0000u, _pci.Ports.In32(0xcfc));
    }

    [Fact]
    public void Config_address_is_a_latch_with_an_enable_bit()
    {
        _pci.Ports.Out8(0xcfb, 1);
        _pci.Ports.Out32(0xcf8, 0x8000_0000);
        Assert.Equal(0x8000_0000u, _pci.Ports.In32(0xcf8));
        _pci.Ports.Out32(0xcf8, 0x0000_0000);
        Assert.Equal(0xffff_ffffu, _pci.Ports.In32(0xcfc));
        _pci.Ports.Out32(0xcf8, 0x8001_0000);
        Assert.Equal(0xffff_ffffu, _pci.Ports.In32(0xcfc));
        _pci.Ports.Out8(0xcfa, 0);
        Assert.Equal(0x0d57_8086u, _pci.Ports.In32(0xcfc));
    }

    [Fact]
    public void Absent_functions_read_as_ones_and_take_writes()
    {
        Assert.Equal(0xffff_ffffu, _pci.Memory.In32(PciFixture.Ecam + (5 << 15)));
        Assert.Equal(0xffff_ffffu, _pci.Memory.In32(PciFixture.Ecam + (1 << 12)));
        _pci.Memory.Out32(PciFixture.Ecam + (5 << 15) + 4, 7);
        Assert.Equal(IoResult.Ok, _pci.Memory.Read(PciFixture.Ecam + (5 << 15), new byte[4]));
    }

    [Fact]
    public void Slots_are_given_lowest_first_and_once()
    {
        Assert.Equal("0000:00:01.0", _pci.Host.Attach(new TestFunction("a")).ToString());
        Assert.Equal("0000:00:1f.0", _pci.Host.Attach(new TestFunction("b"), 0, 31).ToString());
        Assert.Equal("0001:00:00.0", _pci.Host.Attach(new TestFunction("c"), 1).ToString());
        PciTopologyException taken = Assert.Throws<PciTopologyException>(() => _pci.Host.Attach(new TestFunction("d"), 0, 31));
        Assert.Contains("0000:00:1f.0", taken.Message);
        Assert.Contains("b", taken.Message);
        Assert.Throws<PciTopologyException>(() => _pci.Host.Attach(new TestFunction("d"), 2));
        Assert.Throws<PciTopologyException>(() => _pci.Host.Attach(new TestFunction("d"), -1));
        Assert.Throws<PciTopologyException>(() => _pci.Host.Attach(new TestFunction("d"), 0, 32));
        for (int i = 2; i < 31; i++)
        {
            _pci.Host.Attach(new TestFunction($"fill {i}"));
        }

        Assert.Throws<PciTopologyException>(() => _pci.Host.Attach(new TestFunction("one too many")));
    }

    [Fact]
    public void A_function_that_finds_no_address_space_leaves_nothing_behind()
    {
        IoBus memory = new("memory", ulong.MaxValue, NullLogger.Instance);
        PciHost host = new(memory, null, [new PciSegmentLayout(3, 0xe000_0000, new AddressWindow(0xc000_0000, 0x10_0000), default)]);
        Assert.Throws<PciTopologyException>(() => host.Attach(new TestFunction("big"), 3));
        Assert.Equal(0xc000_0000ul, host.GetSegment(3).Allocator32.Allocate(0x10_0000, 0x1000));
        Assert.Equal(0xffff_ffffu, memory.In32(0xe000_0000));
    }

    [Theory]
    [InlineData(96)]
    [InlineData(-1)]
    [InlineData(0)]
    public void Segment_numbers_are_checked(int second)
    {
        PciSegmentLayout Layout(int n, ulong ecam) => new(n, ecam, new AddressWindow(0xc000_0000, 0x1000), default);
        Assert.Throws<PciTopologyException>(() => new PciHost(
            new IoBus("memory", ulong.MaxValue, NullLogger.Instance), null, [Layout(0, 0xe000_0000), Layout(second, 0xe010_0000)]));
    }

    [Fact]
    public void Ninety_six_segments_have_a_window_each()
    {
        IoBus memory = new("memory", ulong.MaxValue, NullLogger.Instance);
        PciHost host = new(memory, null, [.. Enumerable.Range(0, 96).Select(n => new PciSegmentLayout(
            n, PciFixture.Ecam + ((ulong)n << 20), new AddressWindow(0xc000_0000 + ((ulong)n << 22), 1 << 22), default))]);
        TestFunction last = new("last");
        host.Attach(last, 95);
        Assert.Equal(0x1042_1af4u, memory.In32(PciFixture.Ecam + (95ul << 20)));
        Assert.Equal(96, host.Segments.Count());
    }

    [Fact]
    public void Detached_functions_are_gone_with_their_regions()
    {
        TestFunction function = new("a");
        _pci.Host.Attach(function, 0, 4);
        _pci.Decode(function);
        ulong bar = function.GetBarMapping(0)!.Value;
        Assert.Equal(0x5a, _pci.Memory.In8(bar));
        int ranges = _pci.Memory.Ranges.Count;

        _pci.Host.Detach(function);
        Assert.Equal(0xff, _pci.Memory.In8(bar));
        Assert.Equal(0xffff_ffffu, _pci.Memory.In32(PciFixture.Ecam + (4 << 15)));
        Assert.Equal(ranges - 2, _pci.Memory.Ranges.Count);
        Assert.Throws<PciTopologyException>(() => _pci.Host.Detach(function));

        TestFunction next = new("b");
        Assert.Equal(new PciAddress(0, 4), _pci.Host.Attach(next, 0, 4));
        Assert.Equal(bar, next.GetBarBase(0));
    }

    [Theory]
    [InlineData(1, 4)]
    [InlineData(3, 2)]
    [InlineData(0, 8)]
    public void Config_accesses_do_not_cross_a_dword(ulong offset, int width)
    {
        Span<byte> data = stackalloc byte[width];
        Assert.NotEqual(IoResult.Ok, _pci.Memory.Read(PciFixture.Ecam + offset, data));
        Assert.NotEqual(IoResult.Ok, _pci.Memory.Write(PciFixture.Ecam + offset, data));
    }

    [Fact]
    public void State_is_the_latch()
    {
        _pci.Ports.Out32(0xcf8, 0x8000_1234);
        PciHostState saved = _pci.Host.Save();
        _pci.Host.Reset();
        Assert.Equal(0u, _pci.Ports.In32(0xcf8));
        _pci.Host.Restore(saved);
        Assert.Equal(saved, _pci.Host.Save());
        Assert.Equal(0x8000_1234u, _pci.Ports.In32(0xcf8));
    }

    [Fact]
    public void Allocator_aligns_fills_gaps_and_frees()
    {
        PciBarAllocator allocator = new(new AddressWindow(0x1800, 0x8800));
        Assert.Equal(0x2000ul, allocator.Allocate(0x2000, 0x2000));
        Assert.Equal(0x1800ul, allocator.Allocate(0x800, 0x800));
        Assert.Equal(0x8000ul, allocator.Allocate(0x2000, 0x8000));
        Assert.Equal(0x4000ul, allocator.Allocate(0x4000, 0x4000));
        Assert.Null(allocator.Allocate(0x1000, 0x1000));
        allocator.Free(0x2000);
        Assert.Equal(0x2000ul, allocator.Allocate(0x1000, 0x1000));
        Assert.Equal(0x3000ul, allocator.Allocate(0x1000, 0x1000));
        Assert.Throws<ArgumentException>(() => allocator.Free(0x2800));
        Assert.Null(new PciBarAllocator(new AddressWindow(ulong.MaxValue - 0xfff, 0xfff)).Allocate(0x1000, 1ul << 63));
    }
}
