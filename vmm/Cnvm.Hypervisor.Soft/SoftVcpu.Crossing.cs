using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Translation;

namespace Cnvm.Hypervisor.Soft;

/// <summary>
/// Instructions that lie across two pages. Their blocks hold one instruction and are compared with the bytes in memory each
/// time, so they depend on neither page's bookkeeping.
/// </summary>
internal sealed unsafe partial class SoftVcpu
{
    private readonly Dictionary<ulong, nint> _crossings = [];

    [StructLayout(LayoutKind.Sequential)]
    private struct CrossingBlock
    {
        public Vector128<byte> Bytes;
        public Op* Ops;
        public int Length;
    }

    private Op* Crossing(ulong key, ulong a, CrossingBlock* known)
    {
        Vector128<byte> bytes = default;
        byte* p = (byte*)&bytes;
        if (!FetchBytes(p, out int length))
        {
            return null;
        }

        if (length < 15 && length <= 0x1000 - (int)(a & 0xfff))
        {
            // The second page cannot be fetched, and the instruction needs it.
            return null;
        }

        if (known != null && known->Bytes == bytes)
        {
            return known->Ops;
        }

        if (_cache.IsFull)
        {
            ResetCode();
            return Find();
        }

        int ops = _translator.Translate(_cache.Next, p, length, 1, chainable: false);
        if (ops == 0)
        {
            Mmu.Raise(_c, Vectors.GP, 0);
            return null;
        }

        Block* block = _cache.Commit(key, null, ops);
        CrossingBlock* crossing = known;
        if (crossing == null)
        {
            crossing = (CrossingBlock*)NativeMemory.AlignedAlloc((nuint)sizeof(CrossingBlock), 32);
            _crossings[key] = (nint)crossing;
        }

        crossing->Bytes = bytes;
        crossing->Ops = block->Ops;
        crossing->Length = length;
        return block->Ops;
    }

    private void ResetCrossings()
    {
        foreach (nint p in _crossings.Values)
        {
            NativeMemory.AlignedFree((void*)p);
        }

        _crossings.Clear();
    }
}
