using Cnvm.Devices.Bus;
using Cnvm.Devices.Pci;
using Cnvm.Fuzz;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Transport;

public sealed class PciTransportTests : IDisposable
{
    private readonly TestMemory _memory = new();
    private readonly PciGuest _guest;

    public PciTransportTests() => _guest = new PciGuest(new RngDevice("__rng", "/dev/urandom", NullLogger.Instance), _memory);

    public void Dispose()
    {
        _guest.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Identifies_itself_as_a_modern_device()
    {
        Assert.Equal(0x1af4, BitConverter.ToUInt16(_guest.ReadConfig(0, 2)));
        Assert.Equal(0x1044, BitConverter.ToUInt16(_guest.ReadConfig(2, 2)));
        Assert.True(_guest.ReadConfig(8, 1)[0] >= 1);

        // One vector for the queue, one for the configuration: table size field is 1.
        Assert.Equal(1, BitConverter.ToUInt16(_guest.ReadConfig(_guest.FindCapability(0x11) + 2, 2)) & 0x7ff);
        Assert.Equal(2, _guest.Msi.Vectors.Count);

        // The notify capability's multiplier.
        Assert.Equal(4, BitConverter.ToInt32(_guest.ReadConfig(_guest.FindCapability(9, 2) + 16, 4)));
    }

    [Fact]
    public void Doorbells_follow_the_bar()
    {
        Assert.Equal((0, true), (_guest.Doorbells.Bound[(_guest.Bar + 0x6000, null)].Width, true));
        _guest.Function.WriteConfig(4, BitConverter.GetBytes((ushort)0));
        Assert.Empty(_guest.Doorbells.Bound);
        _guest.Function.WriteConfig(0x10, BitConverter.GetBytes(0x80_0000u));
        _guest.Function.WriteConfig(4, BitConverter.GetBytes((ushort)6));
        Assert.Equal(PciGuest.MemoryWindow + 0x80_6000, Assert.Single(_guest.Doorbells.Bound).Key.Address);
    }

    [Fact]
    public void A_notification_that_no_doorbell_takes_works_too()
    {
        _guest.UseHandler = true;
        DriverQueue queue = new(_memory, 0x1000, 16, eventIndex: false);
        _guest.Start(0, queue);
        queue.Add(Piece.Out(0x1_0000, 8));
        Assert.Equal(8u, _guest.Run(0, queue));

        // A queue that does not exist: nothing happens.
        Assert.Equal(IoResult.Ok, _guest.TrySet(2, 0xffc, [1, 0]));
    }

    [Theory]
    [InlineData(0x00, 2, IoResult.InvalidSize)]
    [InlineData(0x01, 1, IoResult.Unaligned)]
    [InlineData(0x14, 4, IoResult.InvalidSize)]
    [InlineData(0x16, 1, IoResult.InvalidSize)]
    [InlineData(0x22, 2, IoResult.Unaligned)]
    [InlineData(0x24, 8, IoResult.InvalidSize)]
    [InlineData(0x38, 4, IoResult.InvalidRegister)]
    [InlineData(0x1ff8, 4, IoResult.InvalidRegister)]
    public void Accesses_that_fit_no_register_are_refused(int offset, int width, IoResult expected) =>
        Assert.Equal(expected, _guest.TrySet(1, offset, new byte[width]));

    [Fact]
    public void Queue_addresses_may_be_written_whole()
    {
        _guest.Set16(1, 0x16, 0);
        _guest.Set(1, 0x28, BitConverter.GetBytes(0x1234_5678_9abc_def0));
        Assert.Equal(0x9abc_def0u, _guest.Get32(1, 0x28));
        Assert.Equal(0x1234_5678u, _guest.Get32(1, 0x2c));
        Assert.Equal(0x1234_5678_9abc_def0, BitConverter.ToInt64(_guest.Get(1, 0x28, 8)));
    }

    [Fact]
    public void A_queue_that_does_not_exist_reads_as_nothing()
    {
        _guest.Set16(1, 0x16, 7);
        Assert.Equal(0, _guest.Get16(1, 0x18));
        Assert.Equal(0, _guest.Get16(1, 0x1c));
        Assert.Equal(0xffff, _guest.Get16(1, 0x1a));
        _guest.Set16(1, 0x1c, 1);
        _guest.Set32(1, 0x20, 0x1000);
        _guest.Set16(1, 0x1a, 1);
        Assert.Equal(0u, _guest.Get32(1, 0x20));
    }

    [Fact]
    public void A_vector_beyond_the_table_reads_back_as_none()
    {
        _guest.Set16(1, 0x10, 2);
        Assert.Equal(0xffff, _guest.Get16(1, 0x10));
        _guest.Set16(1, 0x10, 1);
        Assert.Equal(1, _guest.Get16(1, 0x10));
    }

    [Fact]
    public void The_window_in_configuration_space_reaches_the_registers()
    {
        int cap = _guest.FindCapability(9, 5);
        Assert.NotEqual(0, cap);
        Aim(cap, 0x12, 2);
        Assert.Equal(1, BitConverter.ToUInt16(_guest.ReadConfig(cap + 16, 2)));
        Aim(cap, 0x14, 1);
        _guest.Function.WriteConfig(cap + 16, [3]);
        Assert.Equal(3, _guest.Status);

        // Outside the BAR, of a width that is none, and in another BAR: nothing happens.
        Aim(cap, 0xffff_fff0, 4);
        _guest.Function.WriteConfig(cap + 16, [1, 2, 3, 4]);
        Aim(cap, 0x14, 3);
        _guest.Function.WriteConfig(cap + 16, [0]);
        _guest.Function.WriteConfig(cap + 4, [1]);
        Aim(cap, 0x14, 1);
        _guest.Function.WriteConfig(cap + 16, [0]);
        Assert.Equal(3, _guest.Status);
    }

    [Fact]
    public void Without_msix_the_pin_is_used_and_isr_lowers_it()
    {
        TestLine line = new();
        PciTransportOptions options = new() { InterruptLine = line, InterruptLineNumber = 10, BarKind = PciBarKind.Memory32 };
        using PciGuest guest = new(new RngDevice("__rng", "/dev/urandom", NullLogger.Instance), _memory, options);
        Assert.True(guest.Bar < uint.MaxValue);
        guest.Function.WriteConfig(guest.FindCapability(0x11) + 2, [0, 0]);
        DriverQueue queue = new(_memory, 0x1000, 16, eventIndex: false);
        guest.Start(0, queue);
        queue.Add(Piece.Out(0x1_0000, 8));
        guest.Run(0, queue);
        line.Await();
        Assert.Equal(1, guest.ReadIsr());
        Assert.False(line.IsAsserted);
        Assert.Equal(0, guest.ReadIsr());
    }

    [Fact]
    public void Random_register_accesses_do_no_harm()
    {
        byte[] data = new byte[8];
        SeededRuns.Repeat(200, seed =>
        {
            Random random = new(seed);
            for (int i = 0; i < 1000; i++)
            {
                int width = 1 << random.Next(4);
                int offset = random.Next(4) == 0 ? random.Next(0x8_0000 - 8) : random.Next(64);
                random.NextBytes(data);
                if (offset == 0x14)
                {
                    // Reset and start are covered elsewhere and wait for threads.
                    continue;
                }

                _guest.TrySet(1, offset, data[..width]);
            }
        });

        // Still a working device.
        _guest.EnableMsix();
        DriverQueue queue = new(_memory, 0x1000, 16, eventIndex: false);
        _guest.Start(0, queue);
        queue.Add(Piece.Out(0x1_0000, 8));
        Assert.Equal(8u, _guest.Run(0, queue));
    }

    private void Aim(int cap, uint offset, uint length)
    {
        _guest.Function.WriteConfig(cap + 8, BitConverter.GetBytes(offset));
        _guest.Function.WriteConfig(cap + 12, BitConverter.GetBytes(length));
    }
}
