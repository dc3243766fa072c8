using Cnvm.Virtio.Block;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Tests.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block;

public sealed class BlockDeviceTests : IDisposable
{
    private const int DiskBytes = 4 * 1024 * 1024;
    private const byte Ok = 0;
    private const byte IoError = 1;
    private const byte Unsupported = 2;
    private readonly TestMemory _memory = new();
    private readonly ScratchDisk _disk = new(DiskBytes);

    public void Dispose()
    {
        _memory.Dispose();
        _disk.Dispose();
    }

    public static TheoryData<bool, bool> Combinations => new() { { true, true }, { true, false }, { false, true }, { false, false } };

    [SkippableTheory]
    [MemberData(nameof(Combinations))]
    public void Reads_and_writes_reach_the_image(bool pci, bool uring)
    {
        using IDisposable owner = Make(pci, uring, out BlockDriver driver);
        Assert.Equal(Ok, driver.Read(16, 4096));
        Assert.Equal(_disk.Content[8192..12288], driver.Bytes(4096));

        byte[] data = new byte[64 * 1024];
        new Random(1).NextBytes(data);
        Assert.Equal(Ok, driver.Write(100, data));
        Assert.Equal(Ok, driver.Flush());
        Assert.Equal(data, _disk.Content[51200..(51200 + data.Length)]);
        Assert.Equal(Ok, driver.Read(100, data.Length, BlockDriver.Data + 0x2_0000));
        Assert.Equal(data, _memory[BlockDriver.Data + 0x2_0000, data.Length].ToArray());
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Data_may_be_cut_anywhere(bool uring)
    {
        using IDisposable owner = Make(true, uring, out BlockDriver driver);
        byte status = driver.Request(
            0, 2, Piece.Out(BlockDriver.Data, 1), Piece.Out(BlockDriver.Data + 0x100, 510), Piece.Out(0x50_0000, 513));
        Assert.Equal(Ok, status);
        byte[] got = [.. _memory[BlockDriver.Data, 1], .. _memory[BlockDriver.Data + 0x100, 510], .. _memory[0x50_0000, 513]];
        Assert.Equal(_disk.Content[1024..2048], got);

        // Header, data and status in one readable and one writable piece, cut in the middle of the header.
        _memory.Write(0x9_0000, 1u);
        _memory.Write(0x9_0008, 7UL);
        _memory[0x9_0010, 512].Fill(0x5c);
        driver.Queue.Add(Piece.In(0x9_0000, 5), Piece.In(0x9_0005, 523), Piece.Out(BlockDriver.Status, 1));
        driver.Transport.Run(0, driver.Queue);
        Assert.Equal(Ok, _memory.Read<byte>(BlockDriver.Status));
        Assert.All(_disk.Content[3584..4096], b => Assert.Equal(0x5c, b));
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Requests_that_cannot_be_get_an_error(bool uring)
    {
        using IDisposable owner = Make(true, uring, out BlockDriver driver);
        const ulong Sectors = DiskBytes / 512;
        byte[] before = _disk.Content;
        Assert.Equal(IoError, driver.Read(Sectors, 512));
        Assert.Equal(IoError, driver.Read(Sectors - 1, 1024));
        Assert.Equal(IoError, driver.Read(ulong.MaxValue, 512));
        Assert.Equal(IoError, driver.Read(0x80_0000_0000_0000, 512));
        Assert.Equal(IoError, driver.Read(0, 100));
        Assert.Equal(IoError, driver.Write(Sectors, new byte[512]));
        Assert.Equal(IoError, driver.Write(0, new byte[513]));
        Assert.Equal(Unsupported, driver.Request(99, 0));
        Assert.Equal(Ok, driver.Read(Sectors - 1, 512));
        Assert.Equal(before, _disk.Content);
    }

    [Fact]
    public void A_request_without_room_for_a_status_needs_a_reset()
    {
        using IDisposable owner = Make(true, false, out BlockDriver driver);
        driver.Queue.Add(Piece.In(BlockDriver.Header, 16));
        driver.Queue.Publish();
        driver.Transport.Notify(0);
        Assert.True(SpinWait.SpinUntil(() => (driver.Transport.Status & 64) != 0, 10_000));
    }

    [Fact]
    public void Serial_is_padded_and_cut()
    {
        using IDisposable owner = Make(true, false, out BlockDriver driver, serial: "disk-1");
        _memory[BlockDriver.Data, 32].Fill(0xee);
        Assert.Equal(Ok, driver.Request(8, 0, Piece.Out(BlockDriver.Data, 20)));
        Assert.Equal("disk-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0"u8.ToArray(), driver.Bytes(20));
        Assert.Equal(0xee, _memory.Read<byte>(BlockDriver.Data + 20));
        Assert.Equal(Ok, driver.Request(8, 0, Piece.Out(BlockDriver.Data, 4)));
        Assert.Equal("disk"u8.ToArray(), driver.Bytes(4));
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Discard_and_write_zeroes_clear_their_range_alone(bool uring)
    {
        using IDisposable owner = Make(true, uring, out BlockDriver driver);
        foreach ((uint type, uint flags) in new[] { (11u, 0u), (13u, 0u), (13u, 1u) })
        {
            byte[] data = new byte[32768];
            data.AsSpan().Fill(0x77);
            Assert.Equal(Ok, driver.Write(64, data));
            Assert.Equal(Ok, driver.Range(type, 72, 16, flags));
            byte[] content = _disk.Content;
            Assert.Equal(-1, content.AsSpan(72 * 512, 16 * 512).IndexOfAnyExcept((byte)0));
            Assert.Equal(-1, content.AsSpan(64 * 512, 8 * 512).IndexOfAnyExcept((byte)0x77));
            Assert.Equal(-1, content.AsSpan(88 * 512, 40 * 512).IndexOfAnyExcept((byte)0x77));
        }

        const ulong Sectors = DiskBytes / 512;
        Assert.Equal(DiskBytes, _disk.Content.Length);
        Assert.Equal(IoError, driver.Range(11, Sectors, 1, 0));
        Assert.Equal(IoError, driver.Range(13, Sectors - 1, 2, 0));
        Assert.Equal(IoError, driver.Range(13, 0, uint.MaxValue, 0));
        Assert.Equal(Unsupported, driver.Range(11, 0, 1, 1));
        Assert.Equal(Unsupported, driver.Range(13, 0, 1, 2));
        Assert.Equal(IoError, driver.Request(11, 0, Piece.In(BlockDriver.Data, 32)));
        Assert.Equal(IoError, driver.Request(11, 0, Piece.In(BlockDriver.Data, 15)));
    }

    [Fact]
    public void Zeroes_are_written_where_a_file_system_cannot_zero_a_range()
    {
        using Cnvm.Linux.DiskFile file = new(_disk.Path, readOnly: false, direct: false);
        Assert.Equal(0, ZeroWriter.Write(file, 512, (2 * 1024 * 1024) + 512));
        byte[] content = _disk.Content;
        Assert.Equal(-1, content.AsSpan(512, (2 * 1024 * 1024) + 512).IndexOfAnyExcept((byte)0));
        Assert.Equal(ScratchDisk.Pattern(511), content[511]);
        Assert.Equal(ScratchDisk.Pattern((2 * 1024 * 1024) + 1024), content[(2 * 1024 * 1024) + 1024]);
    }

    [Fact]
    public void A_read_only_disk_refuses_writes()
    {
        using IDisposable owner = Make(true, false, out BlockDriver driver, readOnly: true);
        Assert.NotEqual(0UL, driver.Features & (1UL << 5));
        Assert.Equal(0UL, driver.Features & ((1UL << 13) | (1UL << 14)));
        Assert.Equal(Ok, driver.Read(0, 512));
        Assert.Equal(IoError, driver.Write(0, new byte[512]));
        Assert.Equal(Unsupported, driver.Range(11, 0, 1, 0));
        Assert.Equal(ScratchDisk.Pattern(0), _disk.Content[0]);
    }

    [SkippableFact]
    public void Direct_io_takes_buffers_that_are_not_aligned()
    {
        RawImage image;
        try
        {
            image = RawImage.Open(new RawImageOptions { Path = _disk.Path, IsDirect = true });
        }
        catch (BlockImageException e)
        {
            throw new SkipException($"no direct I/O here: {e.Message}");
        }

        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal(image.LogicalBlockSize, BitConverter.ToUInt32(guest.ReadConfiguration(20, 4)));
        Assert.Equal(Ok, driver.Read(8, 4096, BlockDriver.Data));
        Assert.Equal(_disk.Content[4096..8192], driver.Bytes(4096));

        // One byte off, and long enough to pass through the bounce buffer in turns.
        Assert.Equal(Ok, driver.Read(8, 0x14_0000, BlockDriver.Data + 1));
        Assert.Equal(_disk.Content[4096..(4096 + 0x14_0000)], _memory[BlockDriver.Data + 1, 0x14_0000].ToArray());
        byte[] data = new byte[0x14_0000];
        new Random(3).NextBytes(data);
        Assert.Equal(Ok, driver.Write(16, data, BlockDriver.Data + 3));
        Assert.Equal(data, _disk.Content[8192..(8192 + data.Length)]);
    }

    [Fact]
    public void Write_through_and_write_back_follow_the_configuration()
    {
        RecordingImage image = new(1024 * 1024);
        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), _memory);
        BlockDriver driver = new(_memory, guest);
        Assert.Equal([1], guest.ReadConfiguration(32, 1));
        driver.Write(0, new byte[512]);
        Assert.Equal([BlockOperation.Write], image.Take());
        guest.WriteConfiguration(32, [0]);
        Assert.Equal([0], guest.ReadConfiguration(32, 1));
        driver.Write(0, new byte[512]);
        Assert.Equal([BlockOperation.Write, BlockOperation.Flush], image.Take());
        guest.WriteConfiguration(0, [9]);
        Assert.Equal(1024 * 1024 / 512, BitConverter.ToInt64(guest.ReadConfiguration(0, 8)));

        // A driver that negotiates neither mode nor flushes gets write-through.
        driver = new BlockDriver(_memory, guest, wanted: 0);
        driver.Write(0, new byte[512]);
        Assert.Equal([BlockOperation.Write, BlockOperation.Flush], image.Take());
        driver = new BlockDriver(_memory, guest, wanted: 1UL << 9);
        driver.Write(0, new byte[512]);
        Assert.Equal([BlockOperation.Write], image.Take());
    }

    [Fact]
    public void Short_transfers_go_on_and_errors_are_reported()
    {
        RecordingImage image = new(1024 * 1024) { MaxBytes = 700 };
        using PciGuest guest = new(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), _memory);
        BlockDriver driver = new(_memory, guest);
        byte[] data = new byte[4096];
        new Random(2).NextBytes(data);
        Assert.Equal(Ok, driver.Write(8, data));
        Assert.Equal(6, image.Take().Count);
        Assert.Equal(data, image.Content[4096..8192]);
        Assert.Equal(Ok, driver.Request(0, 8, Piece.Out(BlockDriver.Data, 1000), Piece.Out(0x50_0000, 3096)));
        byte[] got = [.. _memory[BlockDriver.Data, 1000], .. _memory[0x50_0000, 3096]];
        Assert.Equal(data, got);

        image.Error = -28;
        Assert.Equal(IoError, driver.Write(8, data));
        image.Error = -5;
        Assert.Equal(IoError, driver.Read(8, 512));
        Assert.Equal(IoError, driver.Flush());
        image.Error = -95;
        Assert.Equal(Unsupported, driver.Range(11, 0, 8, 0));
        image.Error = 0;
        image.MaxBytes = 0;
        Assert.Equal(IoError, driver.Read(8, 512));
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Every_queue_works_and_counters_count(bool uring)
    {
        Skip.If(uring && !Cnvm.Linux.IoUring.IsAvailable(), "the kernel gives no io_uring");
        RawImage image = RawImage.Open(new RawImageOptions { Path = _disk.Path, DisableIoUring = !uring });
        BlockDevice device = new(new BlockOptions { Id = "_disk0", QueueCount = 3 }, image, NullLogger.Instance);
        using PciGuest guest = new(device, _memory);
        for (int i = 0; i < 3; i++)
        {
            BlockDriver driver = new(_memory, guest, queues: 3, index: i);
            Assert.NotEqual(0UL, driver.Features & (1UL << 12));
            Assert.Equal(3, BitConverter.ToUInt16(guest.ReadConfiguration(34, 2)));
            Assert.Equal(Ok, driver.Read(0, 1024));
            Assert.Equal(Ok, driver.Write(0, new byte[512]));
        }

        BlockCounters counters = device.Counters;
        Assert.Equal((3072UL, 1536UL, 3UL, 3UL), (counters.ReadBytes, counters.WriteBytes, counters.ReadOps, counters.WriteOps));
        Assert.InRange(counters.ReadLatencyAverage, counters.ReadLatencyMin, counters.ReadLatencyMax);
        Assert.True(counters.WriteLatencyMax > 0);
    }

    [SkippableTheory]
    [MemberData(nameof(Combinations))]
    public void A_pause_under_load_loses_nothing(bool pci, bool uring)
    {
        const int Requests = 2000;
        object? state = null;
        IDisposable owner = Make(pci, uring, out BlockDriver driver);
        IGuestTransport transport = driver.Transport;
        Random random = new(4);
        int issued = 0;
        int done = 0;
        while (done < Requests)
        {
            while (issued < Requests && driver.Queue.FreeDescriptors >= 3)
            {
                // Each request has its own header, data and status; sector n holds n afterwards.
                ulong slot = (ulong)(issued % 5);
                ulong at = 0x9_0000 + (slot * 0x1000);
                if (issued - done >= 5)
                {
                    break;
                }

                _memory.Write(at, 1u);
                _memory.Write(at + 8, (ulong)issued);
                _memory[at + 16, 512].Fill((byte)issued);
                driver.Queue.Add(Piece.In(at, 16), Piece.In(at + 16, 512), Piece.Out(at + 0x800, 1));
                issued++;
            }

            if (driver.Queue.Publish())
            {
                transport.Notify(0);
            }

            if (random.Next(100) == 0)
            {
                TransportTests.Pause(transport);
                state = TransportTests.Save(transport);
                if (random.Next(2) == 0)
                {
                    owner.Dispose();
                    owner = MakeTransport(pci, uring, out transport);
                    TransportTests.Restore(transport, state);
                    Assert.Equal(StateText.Of(state), StateText.Of(TransportTests.Save(transport)));
                }

                TransportTests.Resume(transport);
            }

            // In order, because a slot is reused only when all before it are done.
            int batch = issued - done;
            for (int i = 0; i < batch; i++)
            {
                driver.Queue.Await();
                done++;
            }
        }

        Assert.NotNull(state);
        owner.Dispose();
        byte[] content = _disk.Content;
        for (int i = 0; i < Requests; i++)
        {
            Assert.Equal(-1, content.AsSpan(i * 512, 512).IndexOfAnyExcept((byte)i));
        }
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Many_requests_at_once_come_back_in_any_order(bool uring)
    {
        using IDisposable owner = Make(true, uring, out BlockDriver driver);
        for (int round = 0; round < 200; round++)
        {
            for (int i = 0; i < 5; i++)
            {
                ulong at = 0x9_0000 + ((ulong)i * 0x1000);
                _memory.Write(at, 0u);
                _memory.Write(at + 8, (ulong)((round * 5) + i));
                _memory.Write(at + 0x800, (byte)0xff);
                driver.Queue.Add(Piece.In(at, 16), Piece.Out(at + 0x200, 512), Piece.Out(at + 0x800, 1));
            }

            if (driver.Queue.Publish())
            {
                driver.Transport.Notify(0);
            }

            for (int i = 0; i < 5; i++)
            {
                Assert.Equal(513u, driver.Queue.Await().Length);
            }

            for (int i = 0; i < 5; i++)
            {
                ulong at = 0x9_0000 + ((ulong)i * 0x1000);
                Assert.Equal(Ok, _memory.Read<byte>(at + 0x800));
                int offset = ((round * 5) + i) * 512;
                Assert.Equal(ScratchDisk.Pattern(offset), _memory.Read<byte>(at + 0x200));
                Assert.Equal(ScratchDisk.Pattern(offset + 511), _memory.Read<byte>(at + 0x200 + 511));
            }
        }
    }

    private IDisposable Make(bool pci, bool uring, out BlockDriver driver, string? serial = null, bool readOnly = false)
    {
        IDisposable owner = MakeTransport(pci, uring, out IGuestTransport transport, serial, readOnly);
        driver = new BlockDriver(_memory, transport);
        return owner;
    }

    private IDisposable MakeTransport(bool pci, bool uring, out IGuestTransport transport, string? serial = null, bool readOnly = false)
    {
        Skip.If(uring && !Cnvm.Linux.IoUring.IsAvailable(), "the kernel gives no io_uring");
        RawImage image = RawImage.Open(new RawImageOptions { Path = _disk.Path, DisableIoUring = !uring, IsReadOnly = readOnly });
        Assert.Equal(uring, image.UsesIoUring);
        BlockDevice device = new(new BlockOptions { Id = "_disk0", Serial = serial }, image, NullLogger.Instance);
        transport = pci ? new PciGuest(device, _memory) : new MmioGuest(device, _memory);
        return (IDisposable)transport;
    }
}
