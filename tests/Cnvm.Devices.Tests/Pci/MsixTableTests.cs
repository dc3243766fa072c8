using Cnvm.Arch;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Pci;
using Cnvm.Devices.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Pci;

public sealed class MsixTableTests
{
    private const ulong Pba = 0x10000;

    private readonly RecordingMsi _msi = new();
    private readonly IoBus _bus = new("memory", ulong.MaxValue, NullLogger.Instance);
    private readonly MsixTable _table;

    public MsixTableTests()
    {
        _table = new MsixTable(70, _msi);
        _bus.Register(0, _table.TableSize, _table.Table, "table");
        _bus.Register(Pba, _table.PbaSize, _table.Pba, "pba");
    }

    private void Program(int index, uint data, bool masked)
    {
        ulong entry = (ulong)index * 16;
        _bus.Store(entry, 8, 0xfee0_3000);
        _bus.Out32(entry + 8, data);
        _bus.Out32(entry + 12, masked ? 1u : 0u);
    }

    [Fact]
    public void Entries_are_masked_at_power_on()
    {
        Assert.Equal(1u, _bus.In32(12));
        Assert.Equal(1u, _bus.In32((69 * 16) + 12));
        Assert.Equal(0xffff_ffffu, _bus.In32(70 * 16));
        Assert.Equal(16ul, _table.PbaSize);
    }

    [Fact]
    public void Signals_go_out_while_enabled_and_unmasked()
    {
        Program(1, 0x4021, masked: false);
        Assert.False(_table.Signal(1));
        _table.SetControl(enabled: true, functionMasked: false);
        Assert.True(_table.Signal(1));
        Assert.Equal(new MsiMessage(0xfee0_3000, 0x4021), Assert.Single(_msi.Sent));
        Assert.False(_table.Signal(70));
        Assert.False(_table.Signal(-1));
    }

    [Fact]
    public void A_masked_vector_stays_pending_until_unmasked()
    {
        _table.SetControl(enabled: true, functionMasked: false);
        Program(65, 0x33, masked: true);
        Assert.True(_table.Signal(65));
        Assert.True(_table.Signal(65));
        Assert.Empty(_msi.Sent);
        Assert.Equal(2ul, _bus.Load(Pba + 8, 8));
        Assert.Equal(2, _bus.In8(Pba + 8));
        _bus.Store(Pba + 8, 8, 0);
        Assert.Equal(2ul, _bus.Load(Pba + 8, 8));

        _bus.Out32((65 * 16) + 12, 0);
        Assert.Equal(0x33u, Assert.Single(_msi.Sent).Data);
        Assert.Equal(0ul, _bus.Load(Pba + 8, 8));
    }

    [Fact]
    public void The_function_mask_holds_back_every_vector()
    {
        Program(0, 0x30, masked: false);
        Program(1, 0x31, masked: true);
        _table.SetControl(enabled: true, functionMasked: true);
        _table.Signal(0);
        _table.Signal(1);
        Assert.Equal(3ul, _bus.Load(Pba, 8));
        _table.SetControl(enabled: true, functionMasked: false);
        Assert.Equal(0x30u, Assert.Single(_msi.Sent).Data);
        Assert.Equal(2ul, _bus.Load(Pba, 8));
    }

    [Fact]
    public void Messages_that_are_not_for_an_apic_are_not_sent()
    {
        _table.SetControl(enabled: true, functionMasked: false);
        Program(0, 0x30, masked: false);
        _bus.Store(0, 8, 0x1000);
        _table.Signal(0);
        Assert.Empty(_msi.Sent);
        Assert.Null(_msi.Vectors[0].Message);
    }

    [Fact]
    public void Extended_destinations_move_to_the_high_bits()
    {
        _table.SetControl(enabled: true, functionMasked: false);
        Program(0, 0x30, masked: false);
        _bus.Store(0, 8, 0xfee0_0000 | (0x12 << 12) | (0x03 << 5));
        _table.Signal(0);
        Assert.Equal(0xfee0_0000ul | (0x12 << 12) | (0x03ul << 40), Assert.Single(_msi.Sent).Address);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 2)]
    [InlineData(4, 8)]
    [InlineData(2, 4)]
    public void Only_aligned_dwords_and_quadwords_are_taken(ulong offset, int width)
    {
        Span<byte> data = stackalloc byte[width];
        Assert.NotEqual(IoResult.Ok, _bus.Read(offset, data));
        Assert.NotEqual(IoResult.Ok, _bus.Write(offset, data));
    }

    [Fact]
    public void Save_and_restore_keep_entries_and_pending_bits()
    {
        _table.SetControl(enabled: true, functionMasked: false);
        Program(3, 0x55, masked: true);
        _table.Signal(3);
        MsixTableState saved = _table.Save();
        RecordingMsi msi = new();
        using MsixTable other = new(70, msi);
        other.Restore(saved, "other");
        Assert.Equal(saved.Entries, other.Save().Entries);
        other.SetControl(enabled: true, functionMasked: false);
        Assert.Equal(saved.Entries, other.Save().Entries);
        Assert.Throws<DeviceStateException>(() => other.Restore(new MsixTableState { Entries = [] }, "other"));
    }

    [Fact]
    public void The_table_owns_its_vectors()
    {
        _table.Dispose();
        Assert.All(_msi.Vectors, v => Assert.True(v.IsDisposed));
        Assert.Throws<ArgumentOutOfRangeException>(() => new MsixTable(0, _msi));
        Assert.Throws<ArgumentOutOfRangeException>(() => new MsixTable(2049, _msi));
    }

    [Fact]
    public void Signalling_allocates_nothing()
    {
        _table.SetControl(enabled: true, functionMasked: false);
        Program(0, 0x30, masked: false);
        _msi.Records = false;
        _table.Signal(0);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
        {
            _table.Signal(0);
            _table.Signal(1);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
