using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Linux.Vhost;
using Cnvm.Virtio.Queues;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser;

/// <summary>One connection to a back end, from the first greeting on. One thread at a time.</summary>
/// <remarks>
/// Addresses of rings are guest-physical ones: the back end translates them by the regions that it was told, and learns nothing of where
/// memory lies in this process.
/// </remarks>
internal sealed class VhostUserBackend : IDisposable
{
    private readonly VhostUserChannel _channel;
    private int _sharedRegions;

    private VhostUserBackend(VhostUserChannel channel) => _channel = channel;

    /// <summary>virtio features on offer, and VHOST_F_LOG_ALL and the protocol's bit.</summary>
    public ulong Features { get; private set; }

    /// <summary>Queues that it can serve; null if it does not say.</summary>
    public ulong? MaxQueues { get; private set; }

    /// <summary>The socket, to watch for the back end's end.</summary>
    public int Fd => _channel.Fd;

    public bool CanLog => Has(Spec.LogSharedMemory) && (Features & (1UL << VhostAbi.VHOST_F_LOG_ALL)) != 0;

    /// <summary>Greets a back end and tells it where guest memory is.</summary>
    /// <param name="stream">Owned from now on, also when this fails.</param>
    /// <param name="wanted">Protocol features that are of use.</param>
    /// <exception cref="VhostUserException">It is none, or cannot do it.</exception>
    public static VhostUserBackend Greet(UnixStream stream, TimeSpan limit, ulong wanted, GuestMemory memory)
    {
        var backend = new VhostUserBackend(new VhostUserChannel(stream, limit));
        try
        {
            backend.Negotiate(wanted);
            backend.ShareMemory(memory);
            return backend;
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }

    public bool Has(ulong protocolFeature) => (_channel.ProtocolFeatures & protocolFeature) != 0;

    /// <inheritdoc cref="VhostUserChannel.BeginStep"/>
    public void BeginStep() => _channel.BeginStep();

    /// <summary>Says what the driver has accepted.</summary>
    public void SetFeatures(ulong features) => _channel.Send(Spec.SetFeatures, features | (Features & Spec.ProtocolFeatures));

    /// <summary>Reads the configuration space from its start.</summary>
    public void ReadConfiguration(Span<byte> bytes)
    {
        Span<byte> message = stackalloc byte[Spec.ConfigHeaderBytes + Spec.MaxConfigBytes];
        message = message[..(Spec.ConfigHeaderBytes + bytes.Length)];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], (uint)bytes.Length);
        int count = _channel.Ask(Spec.GetConfig, message, message);
        if (count != message.Length || BinaryPrimitives.ReadUInt32LittleEndian(message[4..]) != (uint)bytes.Length)
        {
            throw new VhostUserException($"the back end gives no configuration of {bytes.Length} bytes");
        }

        message[Spec.ConfigHeaderBytes..].CopyTo(bytes);
    }

    /// <summary>Passes a driver's write to the configuration space on.</summary>
    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> bytes)
    {
        Span<byte> message = stackalloc byte[Spec.ConfigHeaderBytes + bytes.Length];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, offset);
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], (uint)bytes.Length);
        bytes.CopyTo(message[Spec.ConfigHeaderBytes..]);
        _channel.Send(Spec.SetConfig, message);
    }

    /// <summary>Asks for memory in which the back end notes what is in flight; it outlives the connection. Only the back end maps it.</summary>
    public VhostUserInflight MakeInflight(int queues, ushort size)
    {
        Span<byte> message = stackalloc byte[Spec.InflightBytes];
        message.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(message[16..], (ushort)queues);
        BinaryPrimitives.WriteUInt16LittleEndian(message[18..], size);
        int count = _channel.AskForFile(Spec.GetInflightFd, message, message, out FileDescriptor file);
        if (count is not (Spec.InflightBytes or Spec.InflightBytesPacked))
        {
            ForeignDescriptors.Close(file);
            throw new VhostUserException($"the answer to message {Spec.GetInflightFd} has {count} bytes");
        }

        if (!MemoryFile.IsMemory(file.Value))
        {
            ForeignDescriptors.Close(file);
            throw new VhostUserException("what it would note requests in flight in is no memory");
        }

        // Whatever the back end answers, it gets its own numbers back with its own descriptor.
        return new VhostUserInflight(
            file, BinaryPrimitives.ReadUInt64LittleEndian(message), BinaryPrimitives.ReadUInt64LittleEndian(message[8..]), (ushort)queues, size);
    }

    public void SetInflight(VhostUserInflight inflight)
    {
        Span<byte> message = stackalloc byte[Spec.InflightBytes];
        message.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(message, inflight.MapSize);
        BinaryPrimitives.WriteUInt64LittleEndian(message[8..], inflight.MapOffset);
        BinaryPrimitives.WriteUInt16LittleEndian(message[16..], inflight.Queues);
        BinaryPrimitives.WriteUInt16LittleEndian(message[18..], inflight.QueueSize);
        _channel.Send(Spec.SetInflightFd, message, [inflight.File.Value]);
    }

    /// <summary>Gives the memory in which writes are logged.</summary>
    public void SetLog(FileDescriptor file, ulong bytes)
    {
        // "Log description": size and offset. LOG_SHMFD makes the answer part of the message, with or without REPLY_ACK.
        Span<byte> message = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(message, bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(message[8..], 0);
        // What it says is not laid down: some back ends say nothing, some a number, some what they were told.
        _ = _channel.Ask(Spec.SetLogBase, message, message, [file.Value]);
    }

    /// <summary>Says where a ring is; it does not run yet.</summary>
    public void PlaceRing(int index, QueueState layout, bool isLogged) => _channel.Send(Spec.SetVringAddress, new vhost_vring_addr
    {
        index = (uint)index,
        flags = isLogged ? 1u << VhostAbi.VHOST_VRING_F_LOG : 0,
        desc_user_addr = layout.DescriptorTable,
        used_user_addr = layout.UsedRing,
        avail_user_addr = layout.AvailRing,
        log_guest_addr = layout.UsedRing,
    });

    /// <summary>Has the back end serve a ring ("Ring states").</summary>
    /// <param name="next">Where it takes the next available element.</param>
    public void StartRing(int index, QueueState layout, ushort next, int kick, int call, bool isLogged)
    {
        _channel.Send(Spec.SetVringNum, new vhost_vring_state { index = (uint)index, num = layout.Size });
        PlaceRing(index, layout, isLogged);
        _channel.Send(Spec.SetVringBase, new vhost_vring_state { index = (uint)index, num = next });
        _channel.Send(Spec.SetVringCall, (ulong)index, [call]);
        _channel.Send(Spec.SetVringKick, (ulong)index, [kick]);
    }

    /// <summary>Whether the ring's buffers are used; without protocol features rings are enabled from the start.</summary>
    public void EnableRing(int index, bool isEnabled)
    {
        if ((Features & Spec.ProtocolFeatures) != 0)
        {
            _channel.Send(Spec.SetVringEnable, new vhost_vring_state { index = (uint)index, num = isEnabled ? 1u : 0 });
        }
    }

    /// <summary>Stops a ring.</summary>
    /// <returns>Where the next available element would be taken.</returns>
    public ushort StopRing(int index)
    {
        var state = new vhost_vring_state { index = (uint)index };
        Span<byte> bytes = stackalloc byte[Unsafe.SizeOf<vhost_vring_state>()];
        MemoryMarshal.Write(bytes, in state);
        int count = _channel.Ask(Spec.GetVringBase, bytes, bytes);
        state = MemoryMarshal.Read<vhost_vring_state>(bytes);
        return count == bytes.Length && state.index == (uint)index && state.num <= ushort.MaxValue
            ? (ushort)state.num
            : throw new VhostUserException($"the back end says of ring {index} that ring {state.index} is at {state.num}");
    }

    /// <summary>Has a network back end show where the guest is.</summary>
    public void SendRarp(ulong mac) => _channel.Send(Spec.SendRarp, mac);

    public void SetMtu(ulong mtu) => _channel.Send(Spec.NetSetMtu, mtu);

    public void Dispose() => _channel.Dispose();

    private void Negotiate(ulong wanted)
    {
        _channel.Send(Spec.SetOwner, []);
        Features = _channel.AskNumber(Spec.GetFeatures);
        if ((Features & Spec.ProtocolFeatures) == 0)
        {
            return;
        }

        ulong agreed = _channel.AskNumber(Spec.GetProtocolFeatures) & wanted;
        _channel.Send(Spec.SetProtocolFeatures, agreed);
        _channel.ProtocolFeatures = agreed;
        if (Has(Spec.MultiQueue))
        {
            MaxQueues = _channel.AskNumber(Spec.GetQueueNum);
        }
    }

    /// <summary>Tells it of memory that has been added since it was told last. No ring runs.</summary>
    /// <exception cref="VhostUserException">It takes no more pieces.</exception>
    public void ShareAdded(GuestMemory memory)
    {
        if (_sharedRegions == memory.Regions.Count)
        {
            return;
        }

        if (!Has(Spec.ConfigureMemorySlots))
        {
            ShareMemory(memory);
            return;
        }

        CheckSlots(memory.Regions.Count);
        ShareOneByOne(memory.Regions, _sharedRegions);
    }

    /// <summary>How many pieces of memory it can map.</summary>
    public ulong AskMemorySlots() => Has(Spec.ConfigureMemorySlots) ? _channel.AskNumber(Spec.GetMaxMemorySlots) : Spec.MaxTableRegions;

    private void CheckSlots(int regions)
    {
        ulong slots = AskMemorySlots();
        if ((ulong)regions > slots)
        {
            throw new VhostUserException($"guest memory has {regions} pieces, the back end takes {slots}");
        }
    }

    private void ShareMemory(GuestMemory memory)
    {
        IReadOnlyList<RamRegion> regions = memory.Regions;
        if (regions.Count <= Spec.MaxTableRegions)
        {
            Span<byte> message = stackalloc byte[8 + (regions.Count * Unsafe.SizeOf<vhost_memory_region>())];
            Span<int> files = stackalloc int[regions.Count];
            message.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)regions.Count);
            for (int i = 0; i < regions.Count; i++)
            {
                MemoryMarshal.Write(message[(8 + (i * Unsafe.SizeOf<vhost_memory_region>()))..], Describe(regions[i]));
                files[i] = regions[i].BackingFd;
            }

            _channel.Send(Spec.SetMemoryTable, message, files);
            _sharedRegions = regions.Count;
            return;
        }

        CheckSlots(regions.Count);
        ShareOneByOne(regions, 0);
    }

    private void ShareOneByOne(IReadOnlyList<RamRegion> regions, int first)
    {
        Span<byte> one = stackalloc byte[8 + Unsafe.SizeOf<vhost_memory_region>()];
        for (int i = first; i < regions.Count; i++)
        {
            one.Clear();
            MemoryMarshal.Write(one[8..], Describe(regions[i]));
            _channel.Send(Spec.AddMemoryRegion, one, [regions[i].BackingFd]);
        }

        _sharedRegions = regions.Count;
    }

    private static vhost_memory_region Describe(RamRegion region) => new()
    {
        guest_phys_addr = region.Gpa,
        memory_size = region.Size,
        userspace_addr = region.Gpa,
        mmap_offset = (ulong)region.BackingOffset,
    };
}
