using System.Text;
using Cnvm.Devices.Serial;
using Cnvm.Virtio.Console;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Console;

public sealed class ConsoleDeviceTests : IDisposable
{
    private readonly TestMemory _memory = new();
    private readonly Stream _stream = new();

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Bytes_pass_both_ways(bool pci)
    {
        using IDisposable owner = Make(pci, out IGuestTransport transport, out ConsoleDevice device);
        (DriverQueue receive, DriverQueue transmit) = Start(transport);
        "hello"u8.CopyTo(_memory[0x1_0000, 5]);
        "world"u8.CopyTo(_memory[0x2_0000, 5]);
        transmit.Add(Piece.In(0x1_0000, 5), Piece.In(0x2_0000, 5));
        transport.Run(1, transmit);
        Assert.Equal("helloworld", _stream.Output);

        _stream.Input("abcdef");
        device.InputReady();
        receive.Add(Piece.Out(0x3_0000, 4));
        receive.Add(Piece.Out(0x4_0000, 4));
        Assert.Equal(4u, transport.Run(0, receive));
        Assert.Equal(2u, receive.Await().Length);
        Assert.Equal("abcd"u8.ToArray(), _memory[0x3_0000, 4].ToArray());
        Assert.Equal("ef"u8.ToArray(), _memory[0x4_0000, 2].ToArray());

        // Buffers that wait are filled when input comes.
        receive.Add(Piece.Out(0x3_0000, 4));
        receive.Publish();
        transport.Notify(0);
        _stream.Input("g");
        device.InputReady();
        Assert.Equal(1u, receive.Await().Length);
    }

    [Fact]
    public void Output_that_is_refused_goes_out_later_and_once_also_in_another_instance()
    {
        IDisposable owner = Make(true, out IGuestTransport transport, out ConsoleDevice device);
        (_, DriverQueue transmit) = Start(transport);
        string text = new('x', 1000);
        text = string.Concat(text.Select((_, i) => (char)('a' + (i % 26))));
        Encoding.ASCII.GetBytes(text).CopyTo(_memory[0x1_0000, 1000]);
        _stream.Room = 300;
        transmit.Add(Piece.In(0x1_0000, 1000));
        transmit.Publish();
        transport.Notify(1);
        Assert.True(SpinWait.SpinUntil(() => _stream.Output.Length == 300, 10_000));
        Assert.False(transmit.HasUsed);
        _stream.Room = 200;
        device.OutputReady();
        Assert.True(SpinWait.SpinUntil(() => _stream.Output.Length == 500, 10_000));

        TransportTests.Pause(transport);
        object state = TransportTests.Save(transport);
        Assert.Equal(500u, ((ConsoleState)device.Save()).TransmittedBytes);
        owner.Dispose();
        _stream.Room = int.MaxValue;
        using IDisposable second = Make(true, out transport, out _);
        TransportTests.Restore(transport, state);
        Assert.Equal(StateText.Of(state), StateText.Of(TransportTests.Save(transport)));
        TransportTests.Resume(transport);
        transmit.Await();
        Assert.Equal(text, _stream.Output);
    }

    [Fact]
    public void The_size_is_told_and_kept()
    {
        using PciGuest guest = (PciGuest)Make(true, out IGuestTransport transport, out ConsoleDevice device);
        device.Resize(80, 25);
        Start(transport);
        Assert.Equal([80, 0, 25, 0, 1, 0, 0, 0], guest.ReadConfiguration(0, 8));
        device.Resize(132, 50);
        guest.Msi.Vectors[0].Await();
        Assert.Equal([132, 0, 50, 0], guest.ReadConfiguration(0, 4));
        ConsoleState state = (ConsoleState)device.Save();
        Assert.Equal((132, 50), (state.Columns, state.Rows));
    }

    [Fact]
    public void A_long_buffer_does_not_hold_up_a_pause()
    {
        using IDisposable owner = Make(true, out IGuestTransport transport, out _);
        (_, DriverQueue transmit) = Start(transport);
        for (int i = 0; i < 5; i++)
        {
            transmit.Add(Piece.In(0, 0x40_0000), Piece.In(0, 0x40_0000), Piece.In(0, 0x40_0000));
        }

        transmit.Publish();
        transport.Notify(1);
        long start = Environment.TickCount64;
        TransportTests.Pause(transport);
        Assert.True(Environment.TickCount64 - start < 5000);
    }

    private (DriverQueue Receive, DriverQueue Transmit) Start(IGuestTransport transport)
    {
        DriverQueue receive = new(_memory, 0x8_1000, 16, eventIndex: true);
        DriverQueue transmit = new(_memory, 0x8_2000, 16, eventIndex: true);
        Assert.NotEqual(0UL, transport.Start(VirtioFeatures.EventIndex | 1, receive, transmit) & VirtioFeatures.EventIndex);
        return (receive, transmit);
    }

    private IDisposable Make(bool pci, out IGuestTransport transport, out ConsoleDevice device)
    {
        device = new ConsoleDevice("__console", _stream, NullLogger.Instance);
        transport = pci ? new PciGuest(device, _memory) : new MmioGuest(device, _memory);
        return (IDisposable)transport;
    }

    private sealed class Stream : ISerialBackend
    {
        private readonly StringBuilder _output = new();
        private readonly Queue<byte> _input = new();
        private int _room = int.MaxValue;

        public int Room
        {
            set
            {
                lock (_output)
                {
                    _room = value;
                }
            }
        }

        public string Output
        {
            get
            {
                lock (_output)
                {
                    return _output.ToString();
                }
            }
        }

        public void Input(string text)
        {
            lock (_output)
            {
                foreach (char c in text)
                {
                    _input.Enqueue((byte)c);
                }
            }
        }

        public bool TryWrite(byte value)
        {
            lock (_output)
            {
                if (_room == 0)
                {
                    return false;
                }

                _room--;
                _output.Append((char)value);
                return true;
            }
        }

        public int Read(Span<byte> destination)
        {
            lock (_output)
            {
                int count = 0;
                while (count < destination.Length && _input.TryDequeue(out byte value))
                {
                    destination[count++] = value;
                }

                return count;
            }
        }
    }
}
