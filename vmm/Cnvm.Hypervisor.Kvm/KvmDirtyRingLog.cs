using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>
/// The dirty log as a ring of page numbers for every vCPU (KVM_CAP_DIRTY_LOG_RING): the cost follows what was written, not how
/// much RAM there is.
/// </summary>
/// <remarks>
/// A page that the CPU has logged in hardware may enter its ring only when the vCPU leaves the guest, so the last collection
/// is complete only once the vCPUs stand still; until then such a page simply comes with a later collection.
/// </remarks>
internal sealed unsafe class KvmDirtyRingLog : IDirtyLog
{
    private const uint Entries = 4096;
    private const int PageSize = 4096;

    private readonly KvmPartition _partition;
    private readonly Lock _lock = new();
    private readonly List<Ring> _rings = [];
    private readonly Dictionary<uint, ulong[]> _harvested = [];

    public KvmDirtyRingLog(KvmPartition partition, uint capability)
    {
        _partition = partition;
        partition.Enable(capability, Entries * (ulong)sizeof(kvm_dirty_gfn));
    }

    public void Start() => _partition.SetDirtyLogging(true);

    public void Stop()
    {
        _partition.SetDirtyLogging(false);
        lock (_lock)
        {
            Harvest();
            _harvested.Clear();
        }
    }

    public void Collect(DirtyBitmap into)
    {
        ArgumentNullException.ThrowIfNull(into);
        lock (_lock)
        {
            Harvest();
            foreach (KvmMemorySlot slot in _partition.Slots())
            {
                if (_harvested.TryGetValue(slot.Number, out ulong[]? bitmap))
                {
                    into.Merge(into.IndexOf(slot.Region), bitmap);
                    Array.Clear(bitmap);
                }
            }
        }
    }

    /// <summary>Maps a new vCPU's ring.</summary>
    public void Add(KvmVirtualCpu vcpu)
    {
        var mapping = MappedMemory.Map(
            Entries * (nuint)sizeof(kvm_dirty_gfn),
            Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_SHARED,
            vcpu.Fd,
            KvmConstants.KVM_DIRTY_LOG_PAGE_OFFSET * PageSize,
            "a vCPU's dirty ring");
        lock (_lock)
        {
            _rings.Add(new Ring(vcpu, mapping));
        }
    }

    /// <summary>Takes what is left in a vCPU's ring and unmaps it.</summary>
    public void Remove(KvmVirtualCpu vcpu)
    {
        lock (_lock)
        {
            Harvest();
            Ring ring = _rings.Find(r => r.Vcpu == vcpu)!;
            _rings.Remove(ring);
            ring.Mapping.Dispose();
        }
    }

    /// <summary>
    /// Moves every ring's entries into the bitmaps here and has the kernel protect those pages again. Any thread: a vCPU
    /// whose ring is full does it itself.
    /// </summary>
    public void Harvest()
    {
        lock (_lock)
        {
            bool any = false;
            foreach (Ring ring in _rings)
            {
                any |= Drain(ring);
            }

            if (any)
            {
                KvmIoctl.Call(_partition.Fd, KvmRequest.KVM_RESET_DIRTY_RINGS);
            }
        }
    }

    private bool Drain(Ring ring)
    {
        var entries = (kvm_dirty_gfn*)ring.Mapping.Address;
        uint start = ring.Next;
        while (true)
        {
            // SAFETY: the index is masked to the mapped ring; Entries is a power of two.
            kvm_dirty_gfn* entry = entries + (ring.Next & (Entries - 1));
            if ((Volatile.Read(ref entry->flags) & KvmConstants.KVM_DIRTY_GFN_F_DIRTY) == 0)
            {
                return ring.Next != start;
            }

            Mark(entry->slot & 0xffff, entry->offset);
            Volatile.Write(ref entry->flags, KvmConstants.KVM_DIRTY_GFN_F_RESET);
            ring.Next++;
        }
    }

    private void Mark(uint slot, ulong page)
    {
        if (!_harvested.TryGetValue(slot, out ulong[]? bitmap))
        {
            KvmMemorySlot? known = Array.Find(_partition.Slots(), s => s.Number == slot);
            if (known is null)
            {
                return; // Unmapped since: nobody can collect it any more.
            }

            bitmap = new ulong[((known.Region.Size >> DirtyBitmap.PageShift) + 63) / 64];
            _harvested.Add(slot, bitmap);
        }

        if (page / 64 < (ulong)bitmap.Length)
        {
            bitmap[page / 64] |= 1UL << (int)(page & 63);
        }
    }

    private sealed class Ring(KvmVirtualCpu vcpu, MappedMemory mapping)
    {
        public KvmVirtualCpu Vcpu { get; } = vcpu;

        public MappedMemory Mapping { get; } = mapping;

        public uint Next { get; set; }
    }
}
