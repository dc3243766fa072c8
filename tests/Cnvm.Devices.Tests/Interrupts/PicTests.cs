using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Interrupts;

public sealed class PicTests
{
    private readonly IoBus _ports = new("port", IoBus.LastPort, NullLogger.Instance);
    private readonly RecordingLine _output = new();
    private readonly PicPair _pic;

    public PicTests()
    {
        _pic = new PicPair(_output);
        _pic.Register(_ports);
        Initialise(icw4: 0x01);
    }

    private void Initialise(byte icw4)
    {
        _ports.Out8(0x20, 0x11);
        _ports.Out8(0x21, 0x20);
        _ports.Out8(0x21, 0x04);
        _ports.Out8(0x21, icw4);
        _ports.Out8(0xa0, 0x11);
        _ports.Out8(0xa1, 0x28);
        _ports.Out8(0xa1, 0x02);
        _ports.Out8(0xa1, icw4);
    }

    private void Pulse(int irq)
    {
        _pic.GetLine(irq).SetLevel(true);
        _pic.GetLine(irq).SetLevel(false);
    }

    private byte Isr(ushort port)
    {
        _ports.Out8(port, 0x0b);
        byte value = _ports.In8(port);
        _ports.Out8(port, 0x0a);
        return value;
    }

    [Fact]
    public void An_edge_is_acknowledged_with_its_vector_and_ends()
    {
        Pulse(4);
        Assert.True(_output.Level);
        Assert.Equal(0x10, _ports.In8(0x20));
        Assert.Equal(0x24, _pic.Acknowledge());
        Assert.False(_output.Level);
        Assert.Equal(0x10, Isr(0x20));
        Assert.Equal(0, _ports.In8(0x20));
        Pulse(4);
        Assert.False(_output.Level);
        _ports.Out8(0x20, 0x20);
        Assert.True(_output.Level);
        Assert.Equal(0x24, _pic.Acknowledge());
    }

    [Fact]
    public void Lower_numbers_go_first_and_interrupt_higher_ones()
    {
        Pulse(5);
        Pulse(1);
        Assert.Equal(0x21, _pic.Acknowledge());
        Assert.False(_output.Level);
        _ports.Out8(0x20, 0x20);
        Assert.Equal(0x25, _pic.Acknowledge());
        Pulse(0);
        Assert.True(_output.Level);
        Assert.Equal(0x20, _pic.Acknowledge());
        Assert.Equal(0x21, Isr(0x20));
        _ports.Out8(0x20, 0x65);
        Assert.Equal(0x01, Isr(0x20));
    }

    [Fact]
    public void The_slave_is_behind_input_2()
    {
        Pulse(12);
        Assert.Equal(0x04, _ports.In8(0x20));
        Assert.Equal(0x10, _ports.In8(0xa0));
        Assert.Equal(0x2c, _pic.Acknowledge());
        Assert.Equal(0x04, Isr(0x20));
        Assert.Equal(0x10, Isr(0xa0));
        Pulse(8);
        Assert.False(_output.Level);
        _ports.Out8(0xa0, 0x20);
        _ports.Out8(0x20, 0x20);
        Assert.Equal(0x28, _pic.Acknowledge());
        Assert.Throws<ArgumentOutOfRangeException>(() => _pic.GetLine(2));
    }

    [Fact]
    public void Masked_inputs_wait()
    {
        _ports.Out8(0x21, 0x10);
        Assert.Equal(0x10, _ports.In8(0x21));
        Pulse(4);
        Assert.False(_output.Level);
        _ports.Out8(0x21, 0);
        Assert.True(_output.Level);
    }

    [Fact]
    public void A_request_that_is_gone_gives_the_spurious_vector()
    {
        Pulse(4);
        _ports.Out8(0x21, 0xff);
        Assert.False(_output.Level);
        Assert.Equal(0x27, _pic.Acknowledge());
        Assert.Equal(0, Isr(0x20));
    }

    [Fact]
    public void Level_triggered_inputs_ask_as_long_as_they_are_asserted()
    {
        _ports.Out8(0x4d0, 0xff);
        _ports.Out8(0x4d1, 0xff);
        Assert.Equal(0xdef8, _ports.In16(0x4d0));
        _pic.GetLine(5).SetLevel(true);
        Assert.Equal(0x25, _pic.Acknowledge());
        _ports.Out8(0x20, 0x20);
        Assert.Equal(0x25, _pic.Acknowledge());
        _pic.GetLine(5).SetLevel(false);
        _ports.Out8(0x20, 0x20);
        Assert.False(_output.Level);
        Assert.Equal(0, _ports.In8(0x20));
    }

    [Fact]
    public void Auto_eoi_leaves_nothing_in_service()
    {
        Initialise(icw4: 0x03);
        Pulse(3);
        Assert.Equal(0x23, _pic.Acknowledge());
        Assert.Equal(0, Isr(0x20));
        Pulse(9);
        Pulse(10);
        Assert.Equal(0x29, _pic.Acknowledge());
        Assert.True(_output.Level);
        Assert.Equal(0x2a, _pic.Acknowledge());
    }

    [Fact]
    public void Rotation_moves_the_lowest_priority()
    {
        Pulse(3);
        Assert.Equal(0x23, _pic.Acknowledge());
        _ports.Out8(0x20, 0xa0);
        Pulse(3);
        Pulse(4);
        Assert.Equal(0x24, _pic.Acknowledge());
        _ports.Out8(0x20, 0xe4);
        Pulse(6);
        Assert.Equal(0x26, _pic.Acknowledge());
        _ports.Out8(0x20, 0xc2);
        _ports.Out8(0x20, 0x66);
        Assert.Equal(0x23, _pic.Acknowledge());
        _ports.Out8(0x20, 0x20);
        Assert.Equal(0, Isr(0x20));
    }

    [Fact]
    public void Rotation_on_auto_eoi()
    {
        Initialise(icw4: 0x03);
        _ports.Out8(0x20, 0x80);
        Pulse(1);
        Assert.Equal(0x21, _pic.Acknowledge());
        Pulse(1);
        Pulse(5);
        Assert.Equal(0x25, _pic.Acknowledge());
        _ports.Out8(0x20, 0x00);
        Assert.Equal(0x21, _pic.Acknowledge());
    }

    [Fact]
    public void Special_mask_mode_lets_lower_priorities_through()
    {
        Pulse(1);
        Assert.Equal(0x21, _pic.Acknowledge());
        Pulse(6);
        Assert.False(_output.Level);
        _ports.Out8(0x21, 0x02);
        _ports.Out8(0x20, 0x68);
        Assert.True(_output.Level);
        Assert.Equal(0x26, _pic.Acknowledge());
        _ports.Out8(0x20, 0x20);
        Assert.Equal(0x02, Isr(0x20));
        _ports.Out8(0x20, 0x48);
        Pulse(6);
        Assert.False(_output.Level);
    }

    [Fact]
    public void Special_fully_nested_mode_lets_the_slave_interrupt_itself()
    {
        Initialise(icw4: 0x11);
        Pulse(12);
        Assert.Equal(0x2c, _pic.Acknowledge());
        Pulse(8);
        Assert.True(_output.Level);
        Assert.Equal(0x28, _pic.Acknowledge());
    }

    [Fact]
    public void Poll_mode_reads_and_acknowledges()
    {
        _ports.Out8(0x20, 0x0c);
        Assert.Equal(0, _ports.In8(0x20));
        Pulse(5);
        _ports.Out8(0x20, 0x0c);
        Assert.Equal(0x85, _ports.In8(0x20));
        Assert.False(_output.Level);
        Assert.Equal(0x20, Isr(0x20));
    }

    [Fact]
    public void Initialisation_starts_over()
    {
        Pulse(4);
        _pic.Acknowledge();
        _ports.Out8(0x21, 0xaa);
        _pic.GetLine(6).SetLevel(true);
        Initialise(icw4: 0x01);
        Assert.Equal(0, _ports.In8(0x21));
        Assert.Equal(0, Isr(0x20));
        Assert.False(_output.Level);
        _pic.GetLine(6).SetLevel(false);
        _pic.GetLine(6).SetLevel(true);
        Assert.Equal(0x26, _pic.Acknowledge());
    }

    [Fact]
    public void Save_and_restore_are_equal_and_drive_the_output()
    {
        Pulse(12);
        Pulse(1);
        _pic.Acknowledge();
        _ports.Out8(0x20, 0x20);
        _ports.Out8(0xa0, 0x11);
        PicState saved = _pic.Save();
        RecordingLine output = new();
        PicPair other = new(output);
        other.Restore(saved);
        Assert.Equal(saved, other.Save());
        Assert.Equal(_output.Level, output.Level);

        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Master = saved.Master with { TopPriority = 8 } }));
        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Slave = saved.Slave with { NextInitWord = 1 } }));
        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Slave = saved.Slave with { VectorBase = 3 } }));
        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Master = saved.Master with { LevelTriggered = 1 } }));
        Assert.Throws<DeviceStateException>(() => other.Restore(saved with { Master = null! }));
        other.Reset();
        Assert.False(output.Level);
        Assert.Equal(new PicState(new PicChipState { Levels = other.Save().Master.Levels }, new PicChipState()), other.Save());
    }
}
