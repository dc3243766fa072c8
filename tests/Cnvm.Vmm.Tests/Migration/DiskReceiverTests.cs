using System.Buffers;
using System.Buffers.Binary;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>What a target believes of messages about disks.</summary>
public sealed class DiskReceiverTests
{
    private const ulong Size = 3 << 20;
    private readonly Sink _disk = new();
    private readonly DiskReceiver _receiver;

    public DiskReceiverTests() => _receiver = new DiskReceiver([_disk]);

    [Theory]
    [InlineData(1, 0, 512, "disk number 1 was not offered")]
    [InlineData(uint.MaxValue, 0, 512, "was not offered")]
    [InlineData(0, 0, 0, "are not of disk")]
    [InlineData(0, Size - 512, 513, "are not of disk")]
    [InlineData(0, Size + 1, 1, "are not of disk")]
    [InlineData(0, ulong.MaxValue, 512, "are not of disk")]
    [InlineData(0, 512, 512, "all from byte 0 on is missing")]
    public void What_is_not_of_the_disk_is_refused(uint disk, ulong offset, uint length, string reason)
    {
        MigrationException e = Assert.Throws<MigrationException>(() => _receiver.Take(Data(disk, offset, length, new byte[length])));
        Assert.Contains(length == 0 ? "message DiskData has" : reason, e.Message, StringComparison.Ordinal);
        e = Assert.Throws<MigrationException>(() => _receiver.Take(Zeros(disk, offset, length)));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.Empty(_disk.Calls);
        Assert.Equal(Size, _receiver.Missing);
    }

    [Fact]
    public void Lengths_must_be_what_they_say()
    {
        Assert.Throws<MigrationException>(() => _receiver.Take(Data(0, 0, 1024, new byte[1023])));
        Assert.Throws<MigrationException>(() => _receiver.Take(Data(0, 0, 1024, new byte[1025])));
        Assert.Throws<MigrationException>(() => _receiver.Take(Data(0, 0, (1 << 20) + 1, new byte[100])));
        Assert.Throws<MigrationException>(() => _receiver.Take(Data(0, 0, 1024, new byte[100], MigrationWire.FlagLz4)));
        Assert.Throws<MigrationException>(() => _receiver.Take(Zeros(0, 0, MigrationWire.MostDiskZeros + 1)));
        Assert.Throws<MigrationException>(() => _receiver.Take(new Frame(FrameType.DiskZeros, 0, new ReadOnlySequence<byte>(new byte[19]))));
        Assert.Empty(_disk.Calls);
    }

    /// <summary>Zeros where nothing was written cost nothing; a disk is complete only when each byte has come.</summary>
    [Fact]
    public void What_has_come_counts_once_and_is_flushed()
    {
        _receiver.Take(Zeros(0, 0, 1 << 20));
        Assert.Empty(_disk.Calls);
        _receiver.Take(Data(0, 1 << 20, 1 << 20, new byte[1 << 20]));
        _receiver.Take(Data(0, 4096, 512, new byte[512]));
        Assert.Equal(1ul << 20, _receiver.Missing);

        // Half of it has been there, half of it is new.
        _receiver.Take(Zeros(0, 3 << 19, Size - (3 << 19)));
        Assert.Equal(0ul, _receiver.Missing);
        _receiver.Flush();
        _receiver.Flush();
        Assert.Equal(["write 1048576+1048576", "write 4096+512", "clear 1572864+524288", "flush"], _disk.Calls);
    }

    private static Frame Data(uint disk, ulong offset, uint length, byte[] contents, ushort flags = 0)
    {
        byte[] payload = new byte[16 + contents.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, disk);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(4), length);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(8), offset);
        contents.CopyTo(payload, 16);
        return new Frame(FrameType.DiskData, flags, new ReadOnlySequence<byte>(payload));
    }

    private static Frame Zeros(uint disk, ulong offset, ulong length)
    {
        byte[] payload = new byte[20];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, disk);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(4), offset);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(12), length);
        return new Frame(FrameType.DiskZeros, 0, new ReadOnlySequence<byte>(payload));
    }

    private sealed class Sink : IArrivingDisk
    {
        public List<string> Calls { get; } = [];

        public ulong Size => DiskReceiverTests.Size;

        public void Write(ulong offset, ReadOnlySpan<byte> data) => Calls.Add($"write {offset}+{data.Length}");

        public void Clear(ulong offset, ulong length) => Calls.Add($"clear {offset}+{length}");

        public void Flush() => Calls.Add("flush");
    }
}
