using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>Memory and rings of the back end: it maps what it is given, and serves block requests with direct descriptors.</summary>
internal sealed unsafe partial class VhostUserPeerRings(byte[] disk) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<(ulong Gpa, ulong Size, MappedMemory Map)> _regions = [];
    private readonly SortedDictionary<int, Ring> _rings = [];
    private FileDescriptor? _inflight;
    private bool _hasJammed;

    /// <summary>What comes on an odd ring goes back on the one before it.</summary>
    public bool Loops { get; set; }

    /// <summary>Requests are taken and not answered.</summary>
    public bool Holds { get; set; }

    /// <summary>Doorbells are filled and made to block, and nothing is served.</summary>
    public bool Jams { get; set; }

    /// <summary>What GET_INFLIGHT_FD brings instead of memory.</summary>
    public FileDescriptor? Inflight { get; set; }

    /// <summary>Nothing is logged, whatever was agreed on.</summary>
    public bool HidesWrites { get; set; }

    /// <summary>Bytes of the answer to SET_LOG_BASE.</summary>
    public int LogAnswerBytes { get; set; } = 8;

    /// <summary>What GET_VRING_BASE answers instead of the truth.</summary>
    public uint? Base { get; set; }

    /// <summary>Identity of the file in which requests in flight are noted, as it was given back; null before.</summary>
    public ulong? InflightInode { get; private set; }

    public ulong AcceptedFeatures { get; private set; }

    /// <summary>Flags of the addresses of ring 0.</summary>
    public uint AddressFlags { get; private set; }

    public MappedMemory? Log { get; private set; }

    public IReadOnlyList<int> Kicks
    {
        get
        {
            lock (_lock)
            {
                return [.. _rings.Values.Where(r => r.Kick is not null && r.Enabled).Select(r => r.Kick!.Value)];
            }
        }
    }

    public int RegionCount => _regions.Count;

    /// <summary>A new connection begins.</summary>
    public void Forget()
    {
        lock (_lock)
        {
            _regions.ForEach(r => r.Map.Dispose());
            _regions.Clear();
            _rings.Clear();
        }
    }

    public byte[]? Take(uint request, byte[] payload, List<FileDescriptor> files, ref int? file)
    {
        lock (_lock)
        {
            uint index = payload.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(payload) : 0;
            uint value = payload.Length >= 8 ? BinaryPrimitives.ReadUInt32LittleEndian(payload.AsSpan(4)) : 0;
            switch (request)
            {
                case 2:
                    AcceptedFeatures = BitConverter.ToUInt64(payload);
                    break;
                case 5:
                    for (int i = 0; i < (int)index; i++)
                    {
                        Map(payload.AsSpan(8 + (32 * i)), files[i]);
                    }

                    break;
                case 37:
                    Map(payload.AsSpan(8), files[0]);
                    break;
                case 6:
                    Log?.Dispose();
                    Log = MappedMemory.Map((nuint)BitConverter.ToUInt64(payload), Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, files[0].Value, 0, "log");
                    return new byte[LogAnswerBytes];
                case 8:
                    At(index).Size = (int)value;
                    break;
                case 9:
                    AddressFlags = index == 0 ? value : AddressFlags;
                    At(index).Descriptors = BitConverter.ToUInt64(payload, 8);
                    At(index).Used = BitConverter.ToUInt64(payload, 16);
                    At(index).Avail = BitConverter.ToUInt64(payload, 24);
                    break;
                case 10:
                    At(index).Next = (ushort)value;
                    break;
                case 11:
                    ushort next = At(index).Next;
                    _rings.Remove((int)index);
                    return [.. BitConverter.GetBytes(index), .. BitConverter.GetBytes(Base ?? next)];
                case 12:
                    At(index).Kick = Jams ? null : files[0];
                    if (Jams && !_hasJammed)
                    {
                        _hasJammed = true;
                        ulong full = ulong.MaxValue - 1;
                        ulong count;
                        _ = Libc.read(files[0].Value, &count, 8);
                        _ = fcntl(files[0].Value, 4, 0);
                        _ = Libc.write(files[0].Value, &full, 8);
                    }

                    break;
                case 13:
                    At(index).Call = files[0];
                    break;
                case 18:
                    At(index).Enabled = value == 1;
                    break;
                case 31:
                    _inflight = MemoryFile.Create("inflight", 4096);
                    file = Inflight?.Value ?? _inflight.Value;
                    payload[1] = 0x10;
                    return payload;
                case 32:
                    InflightInode = InodeOf(files[0].Value);
                    break;
            }

            return null;
        }
    }

    /// <summary>Looks at every ring that runs.</summary>
    public void Serve()
    {
        lock (_lock)
        {
            foreach ((int index, Ring ring) in _rings.Where(r => r.Value.Kick is not null && r.Value.Enabled))
            {
                if (Loops && index % 2 == 0)
                {
                    // Its buffers wait for frames.
                    ulong kicks;
                    _ = Libc.read(ring.Kick!.Value, &kicks, 8);
                    continue;
                }

                ulong count;
                _ = Libc.read(ring.Kick!.Value, &count, 8);
                while (ring.Next != Volatile.Read(ref *(ushort*)At(ring.Avail + 2)))
                {
                    ushort head = Pop(ring);
                    if (Loops)
                    {
                        Ring back = _rings[index - 1];
                        ushort into = Pop(back);
                        Complete(back, into, Copy(Pieces(ring, head), Pieces(back, into)));
                        Complete(ring, head, 0);
                    }
                    else if (!Holds)
                    {
                        Complete(ring, head, Request(ring, head));
                    }
                }
            }
        }
    }

    public void Dispose()
    {
        Forget();
        _inflight?.Dispose();
        Log?.Dispose();
    }

    private static ulong InodeOf(int fd) => ulong.Parse(
        File.ReadLines($"/proc/self/fdinfo/{fd}").Single(l => l.StartsWith("ino:", StringComparison.Ordinal))[4..].Trim());

    private Ring At(uint index)
    {
        if (!_rings.TryGetValue((int)(index & 0xff), out Ring? ring))
        {
            _rings[(int)(index & 0xff)] = ring = new Ring();
        }

        return ring;
    }

    private byte* At(ulong gpa)
    {
        (ulong start, _, MappedMemory map) = _regions.Single(r => gpa >= r.Gpa && gpa < r.Gpa + r.Size);
        return (byte*)map.Address + (gpa - start);
    }

    private void Map(ReadOnlySpan<byte> region, FileDescriptor file)
    {
        ulong gpa = BinaryPrimitives.ReadUInt64LittleEndian(region);
        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(region[8..]);
        long offset = BinaryPrimitives.ReadInt64LittleEndian(region[24..]);
        _regions.Add((gpa, size, MappedMemory.Map((nuint)size, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, file.Value, offset, "region")));
    }

    private ushort Pop(Ring ring) => *(ushort*)At(ring.Avail + 4 + (2 * (ulong)(ring.Next++ % ring.Size)));

    private uint Copy(List<(ulong Address, uint Length, bool Writable)> from, List<(ulong Address, uint Length, bool Writable)> to)
    {
        byte[] bytes = [.. from.SelectMany(p => new Span<byte>(At(p.Address), (int)p.Length).ToArray())];
        int done = 0;
        foreach ((ulong address, uint length, _) in to)
        {
            int count = Math.Min((int)length, bytes.Length - done);
            bytes.AsSpan(done, count).CopyTo(new Span<byte>(At(address), count));
            done += count;
        }

        return (uint)done;
    }

    private List<(ulong Address, uint Length, bool Writable)> Pieces(Ring ring, ushort head)
    {
        List<(ulong Address, uint Length, bool Writable)> pieces = [];
        for (int i = head; ;)
        {
            byte* d = At(ring.Descriptors + (16 * (ulong)i));
            ushort flags = *(ushort*)(d + 12);
            pieces.Add((*(ulong*)d, *(uint*)(d + 8), (flags & 2) != 0));
            if ((flags & 1) == 0)
            {
                break;
            }

            i = *(ushort*)(d + 14);
        }

        return pieces;
    }

    private uint Request(Ring ring, ushort head)
    {
        List<(ulong Address, uint Length, bool Writable)> pieces = Pieces(ring, head);
        bool writes = *(uint*)At(pieces[0].Address) == 1;
        long at = *(long*)At(pieces[0].Address + 8) * 512;
        uint written = 1;
        foreach ((ulong address, uint length, bool writable) in pieces[1..^1])
        {
            var guest = new Span<byte>(At(address), (int)length);
            Span<byte> here = disk.AsSpan((int)at, (int)length);
            (writes ? guest : here).CopyTo(writes ? here : guest);
            at += length;
            written += writable ? length : 0;
            for (ulong page = address >> 12; writable && page <= (address + length - 1) >> 12; page++)
            {
                Mark(page);
            }
        }

        *At(pieces[^1].Address) = 0;
        Mark(pieces[^1].Address >> 12);
        return written;
    }

    private void Mark(ulong page)
    {
        if (!HidesWrites && Log is { } log && (AcceptedFeatures & (1UL << 26)) != 0)
        {
            ((byte*)log.Address)[page / 8] |= (byte)(1 << (int)(page % 8));
        }
    }

    private void Complete(Ring ring, ushort head, uint written)
    {
        ref ushort index = ref *(ushort*)At(ring.Used + 2);
        byte* element = At(ring.Used + 4 + (8 * (ulong)(index % ring.Size)));
        *(uint*)element = head;
        *(uint*)(element + 4) = written;
        Volatile.Write(ref index, (ushort)(index + 1));
        Mark(ring.Used >> 12);
        ulong one = 1;
        _ = Libc.write(ring.Call!.Value, &one, 8);
    }

    // F_SETFL is 4; without O_NONBLOCK.
    [LibraryImport("libc")]
    private static partial int fcntl(int fd, int command, int flags);

    /// <summary>Takes O_NONBLOCK from the open file, for everybody who has it.</summary>
    public static int MakeBlocking(int fd) => fcntl(fd, 4, 0);

    private sealed class Ring
    {
        public int Size;
        public ushort Next;
        public ulong Descriptors;
        public ulong Avail;
        public ulong Used;
        public FileDescriptor? Kick;
        public FileDescriptor? Call;
        public bool Enabled;
    }
}
