using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Linux.Vhost;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>A front end that says whatever it is told to, right or wrong.</summary>
internal sealed class RawFrontEnd : IDisposable
{
    public const ulong UserOffset = 0x7f00_0000_0000;
    private const int AnswerMilliseconds = 10_000;
    private readonly UnixStream _stream;

    public RawFrontEnd(string socket)
    {
        UnixStream? stream = null;
        Assert.True(SpinWait.SpinUntil(() => (stream = UnixStream.TryConnect(socket)) is not null, AnswerMilliseconds));
        _stream = stream!;
    }

    public bool Send(uint request, byte[] payload, uint flags = 1, uint? size = null, params int[] descriptors) =>
        SendRaw(VhostUserPeer.Message(request, size ?? (uint)payload.Length, payload, flags), descriptors);

    public bool Send(uint request, ulong number, params int[] descriptors) => Send(request, BitConverter.GetBytes(number), descriptors: descriptors);

    public bool State(uint request, uint index, uint number) => Send(request, index | ((ulong)number << 32));

    public bool SendRaw(byte[] bytes, params int[] descriptors)
    {
        int sent = _stream.Send(bytes, descriptors);
        return sent == bytes.Length;
    }

    /// <summary>The next answer's payload; null when the back end has closed the connection.</summary>
    public byte[]? Receive(List<FileDescriptor>? files = null)
    {
        byte[] header = new byte[12];
        if (!Fill(header, files ?? []))
        {
            return null;
        }

        Assert.Equal(5u, BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)));
        byte[] payload = new byte[BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8))];
        return Fill(payload, files ?? []) ? payload : null;
    }

    public ulong Ask(uint request)
    {
        Assert.True(Send(request, []));
        return BitConverter.ToUInt64(Receive()!);
    }

    /// <summary>Everything up to the first ring.</summary>
    /// <param name="protocol">Protocol features that must be on offer, and no others.</param>
    public void Greet(TestMemory memory, ulong features = VirtioFeatures.Version1 | (1UL << 30), ulong protocol = 0x920b)
    {
        Assert.True(Send(3, []));
        Assert.Equal(features, Ask(1) & features);
        Assert.Equal(protocol, Ask(15));
        Assert.True(Send(16, protocol));
        Assert.True(Send(2, features));
        Assert.True(Send(5, Table(memory.Guest), descriptors: [.. memory.Guest.Regions.Select(r => r.BackingFd)]));
    }

    public void StartRing(DriverQueue queue, uint start, EventFd kick, EventFd call, uint index = 0)
    {
        State(8, index, queue.Size);
        State(10, index, start);
        Send(9, Address(index, 0, UserOffset + queue.DescriptorTable, UserOffset + queue.UsedRing, UserOffset + queue.AvailRing));
        Send(13, index, call.Fd);
        Send(12, index, kick.Fd);
        Assert.True(State(18, index, 1));
    }

    public static byte[] Table(GuestMemory memory)
    {
        byte[] table = new byte[8 + (memory.Regions.Count * 32)];
        BinaryPrimitives.WriteInt32LittleEndian(table, memory.Regions.Count);
        for (int i = 0; i < memory.Regions.Count; i++)
        {
            RamRegion r = memory.Regions[i];
            Region(r.Gpa, r.Size, UserOffset + r.Gpa, (ulong)r.BackingOffset).CopyTo(table, 8 + (i * 32));
        }

        return table;
    }

    public static byte[] Region(ulong gpa, ulong size, ulong user, ulong offset)
    {
        var region = new vhost_memory_region { guest_phys_addr = gpa, memory_size = size, userspace_addr = user, mmap_offset = offset };
        return MemoryMarshal.AsBytes(new ReadOnlySpan<vhost_memory_region>(in region)).ToArray();
    }

    public static byte[] Address(uint index, uint flags, ulong descriptors, ulong used, ulong avail)
    {
        var address = new vhost_vring_addr { index = index, flags = flags, desc_user_addr = descriptors, used_user_addr = used, avail_user_addr = avail };
        return MemoryMarshal.AsBytes(new ReadOnlySpan<vhost_vring_addr>(in address)).ToArray();
    }

    public void Dispose() => _stream.Dispose();

    private bool Fill(Span<byte> bytes, List<FileDescriptor> files)
    {
        while (!bytes.IsEmpty)
        {
            int got = _stream.Receive(bytes, files);
            if (got == UnixStream.WouldBlock)
            {
                PollEntry[] entry = [new() { Fd = _stream.Fd, Events = PollEntry.In }];
                Assert.True(Poll.Wait(entry, AnswerMilliseconds) > 0, "no answer");
                continue;
            }

            if (got == 0)
            {
                return false;
            }

            bytes = bytes[got..];
        }

        return true;
    }
}
