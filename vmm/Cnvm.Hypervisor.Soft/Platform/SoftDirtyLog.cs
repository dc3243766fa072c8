using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>
/// Dirty pages by write translations: a page is marked when a write translation for it is made, and collecting drops all of
/// them, so that the next write marks it again.
/// </summary>
internal sealed unsafe class SoftDirtyLog(SoftPartition partition) : IDirtyLog
{
    private bool _running;

    public bool IsRunning => _running;

    /// <summary>A bitmap for so many bytes of RAM; whoever has it frees it.</summary>
    public static ulong* AllocateFor(ulong bytes) => (ulong*)NativeMemory.AllocZeroed((nuint)(((bytes >> 12) + 63) / 64), sizeof(ulong));

    public void Start()
    {
        if (_running)
        {
            return;
        }

        _running = true;
        RamSlot* slots = partition.RamSlots(out int count);
        for (int i = 0; i < count; i++)
        {
            slots[i].Dirty = AllocateFor(slots[i].End - slots[i].Start);
        }

        partition.FlushWritesElsewhere(null);
    }

    public void Collect(DirtyBitmap into)
    {
        ArgumentNullException.ThrowIfNull(into);
        if (!_running)
        {
            return;
        }

        RamSlot* slots = partition.RamSlots(out int count);
        for (int i = 0; i < count; i++)
        {
            if (slots[i].Dirty == null)
            {
                continue;
            }

            nuint words = (nuint)((((slots[i].End - slots[i].Start) >> 12) + 63) / 64);
            for (nuint w = 0; w < words; w++)
            {
                ulong bits = slots[i].Dirty[w] == 0 ? 0 : Interlocked.Exchange(ref slots[i].Dirty[w], 0);
                for (; bits != 0; bits &= bits - 1)
                {
                    into.Mark(slots[i].Start + (((ulong)w * 64 + (ulong)System.Numerics.BitOperations.TrailingZeroCount(bits)) << 12), 1);
                }
            }
        }

        // Writes through translations made before this point hit pages that were just collected; later ones mark anew.
        partition.FlushWritesElsewhere(null);
    }

    public void Stop()
    {
        if (!_running)
        {
            return;
        }

        _running = false;
        RamSlot* slots = partition.RamSlots(out int count);
        ulong*[] old = new ulong*[count];
        for (int i = 0; i < count; i++)
        {
            old[i] = slots[i].Dirty;
            slots[i].Dirty = null;
        }

        // After this no vCPU is inside an access that still knows the bitmap.
        partition.FlushWritesElsewhere(null);
        foreach (ulong* bitmap in old)
        {
            NativeMemory.Free(bitmap);
        }
    }
}
