using Cnvm.Hypervisor.Memory;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>
/// The dirty log as one bitmap for every slot, with manual protection: reading it changes nothing, clearing re-protects just
/// the pages that were read (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2).
/// </summary>
internal sealed unsafe class KvmDirtyBitmapLog : IDirtyLog
{
    // KVM_CLEAR_DIRTY_LOG holds the MMU lock while it works: a GiB of RAM at a time lets vCPUs fault in between.
    private const ulong PagesPerClear = 1UL << 18;

    private readonly KvmPartition _partition;
    private readonly bool _manual;
    private ulong[] _bitmap = [];

    public KvmDirtyBitmapLog(KvmPartition partition)
    {
        _partition = partition;
        _manual = partition.TryEnable(KvmCap.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KvmConstants.KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
    }

    public void Start() => _partition.SetDirtyLogging(true);

    public void Stop() => _partition.SetDirtyLogging(false);

    public void Collect(DirtyBitmap into)
    {
        ArgumentNullException.ThrowIfNull(into);
        foreach (KvmMemorySlot slot in _partition.Slots())
        {
            if (slot.LogDirty)
            {
                Collect(slot, into);
            }
        }
    }

    private void Collect(KvmMemorySlot slot, DirtyBitmap into)
    {
        ulong pages = slot.Region.Size >> DirtyBitmap.PageShift;
        int words = (int)((pages + 63) / 64);
        if (_bitmap.Length < words)
        {
            _bitmap = GC.AllocateUninitializedArray<ulong>(words, pinned: true);
        }

        Span<ulong> bitmap = _bitmap.AsSpan(0, words);

        // SAFETY: the array is pinned and has a bit for every page of the slot; the kernel writes whole words.
        fixed (ulong* p = bitmap)
        {
            var log = new kvm_dirty_log { slot = slot.Number, dirty_bitmap = (nint)p };
            KvmIoctl.Call(_partition.Fd, KvmRequest.KVM_GET_DIRTY_LOG, ref log);

            // Into the collection first: should clearing fail, the pages are reported again rather than never.
            into.Merge(into.IndexOf(slot.Region), bitmap);
            for (ulong first = 0; _manual && first < pages; first += PagesPerClear)
            {
                ulong count = Math.Min(PagesPerClear, pages - first);
                if (!bitmap.Slice((int)(first / 64), (int)((count + 63) / 64)).ContainsAnyExcept(0UL))
                {
                    continue;
                }

                var clear = new kvm_clear_dirty_log
                {
                    slot = slot.Number,
                    num_pages = (uint)count,
                    first_page = first,
                    dirty_bitmap = (nint)(p + (first / 64)),
                };
                KvmIoctl.Call(_partition.Fd, KvmRequest.KVM_CLEAR_DIRTY_LOG, ref clear);
            }
        }
    }
}
