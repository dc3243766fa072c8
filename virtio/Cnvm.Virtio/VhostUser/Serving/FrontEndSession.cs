using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Cnvm.Linux;
using Cnvm.Linux.Vhost;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser.Serving;

/// <summary>A connection of a front end, from its first message to its last ("Front-end message types").</summary>
internal sealed class FrontEndSession(FrontEndChannel channel, ServedDevice device)
{
    private readonly ulong _offered = Spec.MultiQueue | Spec.LogSharedMemory | Spec.ReplyAck | Spec.InflightSharedMemory | Spec.ConfigureMemorySlots
        | (device.GivesConfiguration ? Spec.Config : 0);

    private ulong _agreed;
    private bool _hasReplied;

    /// <summary>Does what the front end says until it goes, or is to be left.</summary>
    /// <exception cref="VhostUserException">It says what cannot be.</exception>
    /// <exception cref="LinuxException">The host cannot do what it says.</exception>
    public void Serve()
    {
        while (channel.TryReceive())
        {
            // REPLY_ACK: 0 for what was done. What has an answer of its own gets that alone.
            bool acknowledges = channel.NeedsReply && (_agreed & Spec.ReplyAck) != 0;
            _hasReplied = false;
            try
            {
                Handle();
            }
            catch (Exception e) when (e is VhostUserException or LinuxException && acknowledges && !_hasReplied)
            {
                Answer(1);
                throw;
            }

            if (acknowledges && !_hasReplied)
            {
                Answer(0);
            }
        }
    }

    private void Handle()
    {
        switch (channel.Request)
        {
            case Spec.GetFeatures:
                Expect(0);
                Answer(device.Offered);
                break;
            case Spec.SetFeatures:
                device.SetFeatures(Number());
                break;
            case Spec.GetProtocolFeatures:
                Expect(0);
                Answer(_offered);
                break;
            case Spec.SetProtocolFeatures:
                _agreed = Number() is var agreed && (agreed & ~_offered) == 0
                    ? agreed
                    : throw new VhostUserException($"protocol features 0x{agreed & ~_offered:x} were not on offer");
                break;
            case Spec.GetQueueNum:
                Expect(0);
                Answer((ulong)device.RingCount);
                break;
            case Spec.SetOwner:
                Expect(0);
                break;
            case Spec.ResetOwner:
                Expect(0);
                device.ResetDriver();
                break;
            case Spec.GetConfig when device.GivesConfiguration:
                GiveConfiguration();
                break;
            case Spec.SetConfig when device.GivesConfiguration:
                TakeConfiguration();
                break;
            case Spec.SetMemoryTable or Spec.GetMaxMemorySlots or Spec.AddMemoryRegion or Spec.RemoveMemoryRegion:
                HandleMemory();
                break;
            case Spec.SetLogBase:
                TakeLog();
                break;
            case Spec.SetLogFd:
                // An eventfd for errors of logging, of which there are none.
                Expect(0, descriptors: 1);
                break;
            case Spec.GetInflightFd:
                GiveInflight();
                break;
            case Spec.SetInflightFd:
                TakeInflight();
                break;
            default:
                HandleRing();
                break;
        }
    }

    private void HandleMemory()
    {
        switch (channel.Request)
        {
            case Spec.SetMemoryTable:
                TakeMemoryTable();
                break;
            case Spec.GetMaxMemorySlots:
                Expect(0);
                Answer(Spec.MaxServedRegions);
                break;
            case Spec.AddMemoryRegion:
                Expect(8 + Unsafe.SizeOf<vhost_memory_region>(), descriptors: 1);
                device.AddRegion(TakeRegion(8));
                break;
            default:
                // Some front ends send the memory along once more.
                Expect(8 + Unsafe.SizeOf<vhost_memory_region>(), descriptors: Math.Min(channel.DescriptorCount, 1));
                device.RemoveRegion(MemoryMarshal.Read<vhost_memory_region>(channel.Payload[8..]));
                break;
        }
    }

    private void HandleRing()
    {
        switch (channel.Request)
        {
            case Spec.SetVringNum:
                device.SetSize(State().index, State().num);
                break;
            case Spec.SetVringAddress:
                device.SetPlace(Read<vhost_vring_addr>());
                break;
            case Spec.SetVringBase:
                device.SetBase(State().index, State().num);
                break;
            case Spec.GetVringBase:
                uint ring = State().index;
                Answer(ring | ((ulong)device.Stop(ring) << 32));
                break;
            case Spec.SetVringKick:
                (uint kicked, EventFd? kick) = TakeEvent();
                device.SetKick(kicked, kick ?? throw new VhostUserException("a ring without a doorbell would have to be polled, which is not done here"));
                break;
            case Spec.SetVringCall:
                (uint called, EventFd? call) = TakeEvent();
                device.SetCall(called, call);
                break;
            case Spec.SetVringError:
                (uint failed, EventFd? error) = TakeEvent();
                device.SetError(failed, error);
                break;
            case Spec.SetVringEnable:
                device.Enable(State().index, State().num switch
                {
                    0 => false,
                    1 => true,
                    var other => throw new VhostUserException($"a ring is neither enabled nor disabled: {other}"),
                });
                break;
            default:
                throw new VhostUserException($"message {channel.Request} is unknown here");
        }
    }

    /// <summary>Throws unless the message has so many bytes and descriptors.</summary>
    private void Expect(int bytes, int descriptors = 0)
    {
        if (channel.Payload.Length != bytes || channel.DescriptorCount != descriptors)
        {
            throw new VhostUserException(
                $"message {channel.Request} has {channel.Payload.Length} bytes and {channel.DescriptorCount} descriptors instead of {bytes} and {descriptors}");
        }
    }

    private T Read<T>()
        where T : unmanaged
    {
        Expect(Unsafe.SizeOf<T>());
        return MemoryMarshal.Read<T>(channel.Payload);
    }

    private ulong Number() => Read<ulong>();

    private vhost_vring_state State() => Read<vhost_vring_state>();

    private void Answer(ulong number)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, number);
        Reply(bytes);
    }

    private void Reply(ReadOnlySpan<byte> payload, ReadOnlySpan<int> descriptors = default)
    {
        _hasReplied = true;
        channel.Reply(payload, descriptors);
    }

    private (uint Ring, EventFd? Event) TakeEvent()
    {
        bool hasDescriptor = channel.Payload.Length == sizeof(ulong)
            && (BinaryPrimitives.ReadUInt64LittleEndian(channel.Payload) & Spec.VringNoDescriptor) == 0;
        Expect(sizeof(ulong), hasDescriptor ? 1 : 0);
        uint ring = (uint)(BinaryPrimitives.ReadUInt64LittleEndian(channel.Payload) & Spec.VringIndexMask);
        if (ring >= (uint)device.RingCount)
        {
            throw new VhostUserException($"there is no ring {ring}; there are {device.RingCount}");
        }

        if (!hasDescriptor)
        {
            return (ring, null);
        }

        FileDescriptor received = channel.TakeDescriptor();
        try
        {
            if (EventFd.TryTake(received) is { } taken)
            {
                return (ring, taken);
            }
        }
        catch (LinuxException)
        {
            ForeignDescriptors.Close(received);
            throw;
        }

        ForeignDescriptors.Close(received);
        throw new VhostUserException($"message {channel.Request} brings something else than an eventfd");
    }

    private void TakeMemoryTable()
    {
        uint count = channel.Payload.Length >= 8 ? BinaryPrimitives.ReadUInt32LittleEndian(channel.Payload) : 0;
        if (count is 0 or > Spec.MaxTableRegions)
        {
            throw new VhostUserException($"a table of {count} pieces of memory");
        }

        Expect(8 + ((int)count * Unsafe.SizeOf<vhost_memory_region>()), (int)count);
        List<SharedRegion> regions = [];
        try
        {
            for (int i = 0; i < (int)count; i++)
            {
                regions.Add(TakeRegion(8 + (i * Unsafe.SizeOf<vhost_memory_region>())));
            }
        }
        catch
        {
            regions.ForEach(static r => r.Dispose());
            throw;
        }

        device.SetMemory(regions);
    }

    private SharedRegion TakeRegion(int offset)
    {
        FileDescriptor file = channel.TakeDescriptor();
        try
        {
            return SharedRegion.Take(MemoryMarshal.Read<vhost_memory_region>(channel.Payload[offset..]), file);
        }
        catch (Exception e) when (e is VhostUserException or LinuxException)
        {
            ForeignDescriptors.Close(file);
            throw;
        }
    }

    /// <summary>"Virtio device config space": offset, size, flags, contents.</summary>
    private void GiveConfiguration()
    {
        (uint offset, int size) = ConfigurationRange();
        Span<byte> answer = stackalloc byte[Spec.ConfigHeaderBytes + Spec.MaxConfigBytes];
        answer = answer[..(Spec.ConfigHeaderBytes + size)];
        channel.Payload[..Spec.ConfigHeaderBytes].CopyTo(answer);
        device.ReadConfiguration(offset, answer[Spec.ConfigHeaderBytes..]);
        Reply(answer);
    }

    private void TakeConfiguration()
    {
        (uint offset, int size) = ConfigurationRange();
        device.WriteConfiguration(offset, channel.Payload.Slice(Spec.ConfigHeaderBytes, size));
    }

    private (uint Offset, int Size) ConfigurationRange()
    {
        ReadOnlySpan<byte> payload = channel.Payload;
        if (payload.Length < Spec.ConfigHeaderBytes || channel.DescriptorCount != 0)
        {
            throw new VhostUserException($"message {channel.Request} has {payload.Length} bytes and {channel.DescriptorCount} descriptors");
        }

        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(payload);
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]);
        return size == payload.Length - Spec.ConfigHeaderBytes && offset <= Spec.MaxConfigBytes && size <= Spec.MaxConfigBytes - offset
            ? (offset, (int)size)
            : throw new VhostUserException($"message {channel.Request} with {payload.Length} bytes is about {size} bytes at {offset} of the configuration");
    }

    /// <summary>"Log description": size and offset. It has an answer of its own, whatever was agreed on.</summary>
    private void TakeLog()
    {
        Expect(16, descriptors: 1);
        ulong bytes = BinaryPrimitives.ReadUInt64LittleEndian(channel.Payload);
        ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(channel.Payload[8..]);
        WithFile(file => device.SetLog(file, bytes, offset));
        Answer(0);
    }

    /// <summary>"Inflight description": size, offset, queues, elements of each.</summary>
    private void GiveInflight()
    {
        (_, _, int queues, ushort size) = ReadInflight(descriptors: 0);
        using FileDescriptor file = SharedInflight.Make(queues, size, out ulong bytes);
        Span<byte> answer = stackalloc byte[channel.Payload.Length];
        channel.Payload.CopyTo(answer);
        BinaryPrimitives.WriteUInt64LittleEndian(answer, bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(answer[8..], 0);
        Reply(answer, [file.Value]);
    }

    private void TakeInflight()
    {
        (ulong bytes, ulong offset, int queues, ushort size) = ReadInflight(descriptors: 1);
        WithFile(file => device.SetInflight(file, bytes, offset, queues, size));
    }

    private (ulong Bytes, ulong Offset, int Queues, ushort QueueSize) ReadInflight(int descriptors)
    {
        ReadOnlySpan<byte> payload = channel.Payload;
        Expect(payload.Length == Spec.InflightBytesPacked ? Spec.InflightBytesPacked : Spec.InflightBytes, descriptors);
        ushort queues = BinaryPrimitives.ReadUInt16LittleEndian(payload[16..]);
        ushort size = BinaryPrimitives.ReadUInt16LittleEndian(payload[18..]);
        return queues is >= 1 and <= Spec.MaxRings && size is >= 1 and <= Queues.SplitRing.MaxQueueSize
            ? (BinaryPrimitives.ReadUInt64LittleEndian(payload), BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]), queues, size)
            : throw new VhostUserException($"requests in flight of {queues} queues of {size}");
    }

    private void WithFile(Action<FileDescriptor> use)
    {
        FileDescriptor file = channel.TakeDescriptor();
        try
        {
            use(file);
        }
        finally
        {
            ForeignDescriptors.Close(file);
        }
    }
}
