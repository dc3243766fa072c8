using Cnvm.Devices.Bus;
using Cnvm.Devices.Serial;
using Cnvm.Devices.Tests.Fakes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Devices.Tests.Serial;

public sealed class Serial16550Tests
{
    private const ulong Base = Serial16550.Com1;

    private readonly IoBus _ports = new("port", IoBus.LastPort, NullLogger.Instance);
    private readonly RecordingBackend _backend = new();
    private readonly RecordingLine _line = new();
    private readonly Serial16550 _serial;

    public Serial16550Tests()
    {
        _serial = new Serial16550("__serial", _backend, _line);
        _ports.Register(Base, Serial16550.Size, _serial, "__serial");
    }

    private byte Read(int register) => _ports.In8(Base + (ulong)register);

    private void Write(int register, byte value) => _ports.Out8(Base + (ulong)register, value);

    private void Send(string text)
    {
        foreach (char c in text)
        {
            Write(0, (byte)c);
        }
    }

    private string Receive(int most = 1000)
    {
        string text = "";
        while ((Read(5) & 1) != 0 && text.Length < most)
        {
            text += (char)Read(0);
        }

        return text;
    }

    private void Type(string text)
    {
        _backend.Type(text);
        _serial.InputReady();
    }

    [Fact]
    public void Power_on_registers()
    {
        Assert.Equal((0, 0x01, 0, 0, 0x60, 0xb0, 0), (Read(1), Read(2), Read(3), Read(4), Read(5), Read(6), Read(7)));
        Write(3, 0x80);
        Assert.Equal((12, 0), (Read(0), Read(1)));
    }

    [Fact]
    public void The_divisor_latch_hides_data_and_interrupt_enable()
    {
        Write(1, 0xff);
        Write(3, 0x83);
        Write(0, 0x34);
        Write(1, 0x12);
        Assert.Equal((0x34, 0x12), (Read(0), Read(1)));
        Write(3, 0x03);
        Assert.Equal(0x0f, Read(1));
        Assert.Equal("", _backend.Output);
        Write(7, 0xa5);
        Assert.Equal(0xa5, Read(7));
    }

    [Fact]
    public void Linux_detects_a_16550a()
    {
        // The probe of the 8250 driver: interrupt enable and scratch keep bits, loopback answers, then the FIFO bits.
        Write(1, 0);
        Assert.Equal(0, Read(1));
        Write(1, 0x0f);
        Assert.Equal(0x0f, Read(1));
        Write(1, 0);
        Write(4, 0x10 | 0x0a);
        Assert.Equal(0x90, Read(6) & 0xf0);
        Write(4, 0);
        Write(2, 1);
        Assert.Equal(0xc0, Read(2) & 0xc0);
        Write(2, 0);
        Assert.Equal(0, Read(2) & 0xc0);
    }

    [Fact]
    public void Output_goes_out_at_once_and_the_transmitter_is_empty_again()
    {
        Send("hello");
        Assert.Equal("hello", _backend.Output);
        Assert.Equal(0x60, Read(5));
        Assert.Equal(0, _line.Rises);
    }

    [Fact]
    public void Enabling_the_transmit_interrupt_on_an_empty_transmitter_raises_it()
    {
        // The test that Linux makes for broken ports: on, off, on again has to interrupt each time.
        Write(1, 2);
        Assert.True(_line.Level);
        Assert.Equal(0x02, Read(2));
        Assert.False(_line.Level);
        Assert.Equal(0x01, Read(2));
        Write(1, 0);
        Write(1, 2);
        Assert.Equal(0x02, Read(2));
    }

    [Fact]
    public void Each_answered_transmit_interrupt_is_followed_by_another()
    {
        Write(2, 1);
        Write(1, 2);
        Assert.Equal(0xc2, Read(2));
        Send("0123456789abcdef");
        Assert.True(_line.Level);
        Assert.Equal(2, _line.Rises);
        Assert.Equal(0xc2, Read(2));
        Assert.Equal(0xc1, Read(2));
        Assert.Equal("0123456789abcdef", _backend.Output);
    }

    [Fact]
    public void A_full_backend_holds_the_transmitter_back()
    {
        Write(2, 1);
        Write(1, 2);
        Read(2);
        _backend.Room = 3;
        Send("abcdef");
        Assert.Equal("abc", _backend.Output);
        Assert.Equal(0, Read(5) & 0x60);
        Assert.False(_line.Level);
        _backend.Room = 5;
        _serial.OutputReady();
        Assert.Equal("abcde", _backend.Output);
        Assert.Equal(0, Read(5) & 0x60);
        _backend.Room = 100;
        _serial.OutputReady();
        Assert.Equal("abcdef", _backend.Output);
        Assert.Equal(0x60, Read(5) & 0x60);
        Assert.True(_line.Level);
    }

    [Fact]
    public void Output_past_a_full_fifo_is_dropped_as_by_hardware()
    {
        Write(2, 1);
        _backend.Room = 0;
        Send("0123456789abcdefOVER");
        _backend.Room = 100;
        _serial.OutputReady();
        Assert.Equal("0123456789abcdef", _backend.Output);
    }

    [Fact]
    public void Input_is_announced_by_trigger_level_or_time_out()
    {
        Write(2, 0x81);
        Write(1, 1);
        Type("1234567");
        Assert.True(_line.Level);
        Assert.Equal(0xcc, Read(2));
        Type("8");
        Assert.Equal(0xc4, Read(2));
        Assert.Equal("12345678", Receive());
        Assert.False(_line.Level);
        Assert.Equal(0xc1, Read(2));
    }

    [Fact]
    public void No_input_is_lost_when_the_fifo_is_full()
    {
        Write(2, 0x01);
        Write(1, 1);
        string text = string.Concat(Enumerable.Range(0, 200).Select(i => (char)('0' + (i % 64))));
        Type(text);
        Assert.Equal(200 - 16, _backend.Waiting);
        Assert.Equal(0, Read(5) & 2);
        Assert.Equal(text, Receive());
        Assert.Equal(0, _backend.Waiting);
        Assert.False(_line.Level);

        // A rise for every refill, for an edge-triggered controller.
        Assert.Equal(13, _line.Rises);
    }

    [Fact]
    public void Without_fifos_there_is_one_byte()
    {
        Write(1, 1);
        Type("xyz");
        Assert.Equal(2, _backend.Waiting);
        Assert.Equal(0x04, Read(2));
        Assert.Equal("xyz", Receive());
        Assert.Equal(0, Read(0));
    }

    [Fact]
    public void Clearing_the_receiver_takes_the_next_bytes_from_the_backend()
    {
        Write(2, 1);
        Type("0123456789abcdefREST");
        Write(2, 0x03);
        Assert.Equal("REST", Receive());
    }

    [Fact]
    public void Loopback_feeds_the_receiver_and_keeps_the_line_out()
    {
        Write(2, 1);
        Write(1, 1);
        Write(4, 0x10);
        Type("outside");
        Assert.False(_line.Level);
        Send("in");
        Assert.True(_line.Level);
        Assert.Equal("in", Receive());
        Assert.Equal("", _backend.Output);
        Send("0123456789abcdef!");
        Assert.Equal(2, Read(5) & 2);
        Assert.Equal(0, Read(5) & 2);
        Assert.Equal("0123456789abcdef", Receive());
        Write(4, 0);
        Assert.Equal("outside", Receive());
    }

    [Fact]
    public void Line_status_interrupts_come_first()
    {
        Write(1, 0x0f);
        Write(4, 0x10);
        Send("ab");
        Assert.Equal(0x06, Read(2));
        Read(5);
        Assert.Equal(0x04, Read(2));
        Read(0);
        Assert.Equal(0x02, Read(2));
        Assert.Equal(0x00, Read(2));
        Read(6);
        Assert.Equal(0x01, Read(2));
        Assert.False(_line.Level);
    }

    [Fact]
    public void Modem_lines_are_up_and_deltas_clear_on_read()
    {
        Assert.Equal(0xb0, Read(6));
        Write(4, 0x1f);
        Assert.Equal(0xf0, Read(6) & 0xf0);
        Write(4, 0x1b);
        Assert.Equal(0xb4, Read(6));
        Assert.Equal(0xb0, Read(6));
        Write(4, 0xff);
        Assert.Equal(0x1f, Read(4));
        Write(5, 0xff);
        Write(6, 0xff);
        Assert.Equal(0x60, Read(5));
    }

    [Fact]
    public void Wide_accesses_are_refused()
    {
        Assert.Equal(IoResult.InvalidSize, _ports.Read(Base, new byte[2]));
        Assert.Equal(IoResult.InvalidSize, _ports.Write(Base, new byte[4]));
        Assert.Equal("", _backend.Output);
    }

    [Fact]
    public void Save_and_restore_keep_registers_and_fifos()
    {
        Write(3, 0x83);
        Write(0, 3);
        Write(3, 0x03);
        Write(2, 0x41);
        Write(1, 0x07);
        Write(7, 0x42);
        Type("unread");
        _backend.Room = 0;
        Send("unsent");
        Serial16550State saved = _serial.Save();
        Assert.Equal(saved.ReceiveFifo, _serial.Save().ReceiveFifo);

        RecordingBackend backend = new();
        RecordingLine line = new();
        Serial16550 other = new("other", backend, line);
        other.Restore(saved);
        Serial16550State again = other.Save();
        Assert.Equal(saved.ReceiveFifo, again.ReceiveFifo);
        Assert.Equal(saved.TransmitFifo, again.TransmitFifo);
        Assert.Equal(saved with { ReceiveFifo = again.ReceiveFifo, TransmitFifo = again.TransmitFifo }, again);
        Assert.Equal(_line.Level, line.Level);
        other.OutputReady();
        Assert.Equal("unsent", backend.Output);
        byte[] first = new byte[1];
        other.Read(0, first);
        Assert.Equal((byte)'u', first[0]);

        foreach (Serial16550State bad in new[]
        {
            saved with { ReceiveFifo = new byte[17] }, saved with { TransmitFifo = new byte[17] }, saved with { ReceiveFifo = null! },
            saved with { InterruptEnable = 0x10 }, saved with { FifoControl = 2 }, saved with { ModemControl = 0x20 },
            saved with { LineErrors = 1 }, saved with { ModemDelta = 0x10 },
        })
        {
            Assert.Throws<DeviceStateException>(() => other.Restore(bad));
        }
    }

    [Fact]
    public void Reset_is_power_on()
    {
        Serial16550State fresh = _serial.Save();
        Write(2, 1);
        Write(1, 3);
        Type("abc");
        Write(7, 9);
        _serial.Reset();
        Assert.False(_line.Level);
        Serial16550State reset = _serial.Save();
        Assert.Equal(fresh with { ReceiveFifo = reset.ReceiveFifo, TransmitFifo = reset.TransmitFifo }, reset);
        Assert.Empty(reset.ReceiveFifo);
    }
}
