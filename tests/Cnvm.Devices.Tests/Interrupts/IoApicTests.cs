using Cnvm.Arch;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Interrupts;

public sealed class IoApicTests
{
    private const uint Level = 1 << 15;
    private const uint Mask = 1 << 16;
    private const uint RemoteIrr = 1 << 14;
    private const ulong Base = IoApic.DefaultBase;

    private readonly RecordingMsi _msi = new();
    private readonly IoBus _bus = new("memory", ulong.MaxValue, NullLogger.Instance);
    private readonly IoApic _apic;

    public IoApicTests()
    {
        _apic = new IoApic("__ioapic", _msi);
        _bus.Register(Base, IoApic.Size, _apic, "__ioapic");
    }

    private uint Read(byte index)
    {
        _bus.Out32(Base, index);
        return _bus.In32(Base + 0x10);
    }

    private void Write(byte index, uint value)
    {
        _bus.Out32(Base, index);
        _bus.Out32(Base + 0x10, value);
    }

    private void Program(int pin, uint low, byte destination = 0)
    {
        Write((byte)(0x11 + (2 * pin)), (uint)destination << 24);
        Write((byte)(0x10 + (2 * pin)), low);
    }

    private uint Entry(int pin) => Read((byte)(0x10 + (2 * pin)));

    [Fact]
    public void Power_on_registers()
    {
        Assert.Equal(0x0017_0020u, Read(1));
        Assert.Equal(0u, Read(0));
        for (int pin = 0; pin < 24; pin++)
        {
            Assert.Equal(Mask, Entry(pin));
        }

        Write(0, 0xff00_0000);
        Assert.Equal(0x0f00_0000u, Read(0));
        Assert.Equal(0x0f00_0000u, Read(2));
        Assert.Equal(0u, Read(0x40));
        Assert.Equal(0u, Read(3));
        Write(0x40, 0x1234);
    }

    [Fact]
    public void An_edge_sends_once()
    {
        Program(4, 0x24, destination: 3);
        _apic.GetLine(4).SetLevel(true);
        _apic.GetLine(4).SetLevel(true);
        Assert.Equal(new MsiMessage(0xfee0_3000, 0x24), Assert.Single(_msi.Sent));
        _apic.GetLine(4).SetLevel(false);
        _apic.GetLine(4).SetLevel(true);
        Assert.Equal(2, _msi.Sent.Count);
        Assert.Equal(0u, Entry(4) & RemoteIrr);
    }

    [Fact]
    public void An_edge_at_a_masked_pin_is_lost()
    {
        Program(4, Mask | 0x24);
        _apic.GetLine(4).SetLevel(true);
        Program(4, 0x24);
        Assert.Empty(_msi.Sent);
    }

    [Fact]
    public void A_level_sends_again_after_the_end_of_interrupt_while_asserted()
    {
        Program(9, Level | 0x39);
        _apic.GetLine(9).SetLevel(true);
        Assert.Equal(new MsiMessage(0xfee0_0000, 0xc039), Assert.Single(_msi.Sent));
        Assert.Equal(RemoteIrr, Entry(9) & RemoteIrr);
        _apic.GetLine(9).SetLevel(false);
        _apic.GetLine(9).SetLevel(true);
        Assert.Single(_msi.Sent);

        _apic.EndOfInterrupt(0x38);
        Assert.Single(_msi.Sent);
        _apic.EndOfInterrupt(0x39);
        Assert.Equal(2, _msi.Sent.Count);
        _apic.GetLine(9).SetLevel(false);
        _bus.Out32(Base + 0x40, 0x39);
        Assert.Equal(2, _msi.Sent.Count);
        Assert.Equal(0u, Entry(9) & RemoteIrr);
    }

    [Fact]
    public void Unmasking_an_asserted_level_sends_it()
    {
        Program(9, Mask | Level | 0x39);
        _apic.GetLine(9).SetLevel(true);
        Assert.Empty(_msi.Sent);
        Program(9, Level | 0x39);
        Assert.Single(_msi.Sent);
    }

    [Fact]
    public void Masked_in_service_interrupts_still_end()
    {
        Program(9, Level | 0x39);
        _apic.GetLine(9).SetLevel(true);
        Write(0x10 + 18, Mask | Level | 0x39);
        Assert.NotNull(_msi.Routes[9]);
        _apic.EndOfInterrupt(0x39);
        Assert.Single(_msi.Sent);
        Assert.Equal(Mask | Level | 0x39u, Entry(9));
        Write(0x10 + 18, Level | 0x39);
        Assert.Equal(2, _msi.Sent.Count);
    }

    [Fact]
    public void Switching_to_edge_clears_a_stuck_remote_irr()
    {
        Program(9, Level | 0x39);
        _apic.GetLine(9).SetLevel(true);
        Program(9, Mask | 0x39);
        Assert.Equal(Mask | 0x39u, Entry(9));
        Program(9, Mask | Level | 0x39);
        Assert.Equal(0u, Entry(9) & RemoteIrr);
    }

    [Fact]
    public void Nmi_has_no_end_and_no_remote_irr()
    {
        Program(9, Level | (4 << 8));
        _apic.GetLine(9).SetLevel(true);
        Assert.Equal(0u, Entry(9) & RemoteIrr);
        Assert.Equal(0x400u, Assert.Single(_msi.Sent).Data & 0x700);
    }

    [Fact]
    public void Routes_follow_the_entries_and_not_the_mask()
    {
        Program(5, 0x25, destination: 1);
        Assert.Equal(new MsiMessage(0xfee0_1000, 0x25), _msi.Routes[5]);
        int changes = _msi.RouteChanges;
        Write(0x1a, Mask | 0x25);
        Write(0x1a, 0x25);
        Assert.Equal(changes, _msi.RouteChanges);
        Write(0x1a, 0x26);
        Assert.Equal(changes + 1, _msi.RouteChanges);
        _apic.Reset();
        Assert.Null(_msi.Routes[5]);
        Assert.Equal(Mask, Entry(5));
    }

    [Fact]
    public void Logical_and_lowest_priority_destinations_reach_the_message()
    {
        Program(5, 0x25 | (1 << 8) | (1 << 11), destination: 0xff);
        Assert.Equal(new MsiMessage(0xfeef_f00c, 0x125), _msi.Routes[5]);
        Write(0x1b, 0x0204_0000);
        Assert.Equal(0xfee0_2000ul | (2ul << 40) | 0xc, _msi.Routes[5]!.Value.Address);
    }

    [Fact]
    public void A_second_apic_numbers_its_routes_from_its_first_pin()
    {
        IoApic second = new("second", _msi, firstPin: 24);
        second.Write(0, [0x10]);
        second.Write(0x10, [0x31, 0, 0, 0]);
        Assert.Equal(0x31u, _msi.Routes[24]!.Value.Data);
    }

    [Fact]
    public void Saved_state_restores_routes_levels_and_remote_irr()
    {
        Program(9, Level | 0x39);
        Program(4, 0x24, destination: 3);
        Program(10, Level | Mask | 0x40);
        _apic.GetLine(9).SetLevel(true);
        _apic.GetLine(10).SetLevel(true);
        Write(0, 0x0500_0000);
        IoApicState saved = _apic.Save();

        RecordingMsi msi = new();
        IoApic other = new("other", msi);
        other.Restore(saved);
        IoApicState again = other.Save();
        Assert.Equal(saved.Redirection, again.Redirection);
        Assert.Equal((saved.Id, saved.Select, saved.Levels), (again.Id, again.Select, again.Levels));
        Assert.Empty(msi.Sent);
        Assert.Equal(new MsiMessage(0xfee0_3000, 0x24), msi.Routes[4]);
        Assert.Equal(0xc039u, msi.Routes[9]!.Value.Data);
        Assert.False(msi.Routes.ContainsKey(10));
        other.EndOfInterrupt(0x39);
        Assert.Single(msi.Sent);

        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Redirection = [] }));
        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Id = 16 }));
        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Levels = 1ul << 24 }));
    }

    [Theory]
    [InlineData(0x10, 1)]
    [InlineData(0x10, 8)]
    [InlineData(0x04, 4)]
    [InlineData(0x14, 4)]
    public void Odd_accesses_are_refused(ulong offset, int width)
    {
        Span<byte> data = stackalloc byte[width];
        Assert.NotEqual(IoResult.Ok, _bus.Read(Base + offset, data));
        Assert.NotEqual(IoResult.Ok, _bus.Write(Base + offset, data));
    }

    [Fact]
    public void Shared_and_split_lines()
    {
        RecordingLine a = new();
        RecordingLine b = new();
        SharedInterruptLine shared = new(new InterruptFanOut(a, b));
        IInterruptLine first = shared.CreateInput();
        IInterruptLine second = shared.CreateInput();
        first.SetLevel(true);
        second.SetLevel(true);
        first.SetLevel(false);
        first.SetLevel(false);
        Assert.True(a.Level && b.Level);
        second.SetLevel(false);
        Assert.False(a.Level || b.Level);
    }
}
