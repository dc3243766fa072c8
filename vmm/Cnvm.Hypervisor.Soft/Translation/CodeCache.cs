using System.Numerics;
using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>All translated code of one vCPU. Its thread only.</summary>
/// <remarks>
/// Memory of blocks is never reused while code may run in it: blocks that are given up become <see cref="BranchOps.Stale"/>
/// operations, and only <see cref="Reset"/>, between blocks, takes the arena back.
/// </remarks>
internal sealed unsafe class CodeCache : IDisposable
{
    private const int ArenaBytes = 48 << 20;

    /// <summary>Space that the longest block may need.</summary>
    private const int Reserve = 128 * 1024;

    private readonly Cpu* _c;
    private readonly byte* _arena;
    private int _used;
    private readonly Dictionary<ulong, nint> _pages = [];
    private readonly Dictionary<ulong, nint> _blocks = [];

    public CodeCache(Cpu* c)
    {
        _c = c;
        // SAFETY: pages are committed when first touched; freed in Dispose.
        _arena = (byte*)NativeMemory.AlignedAlloc(ArenaBytes, 64);
        Reset();
    }

    public bool IsFull => ArenaBytes - _used < Reserve;

    /// <summary>Where the next block's operations go.</summary>
    public Op* Next => (Op*)(_arena + _used);

    public Block* Find(ulong key) => _blocks.TryGetValue(key, out nint b) ? (Block*)b : null;

    /// <summary>The page record of a physical page of RAM.</summary>
    public CodePage* Page(ulong phys, RamSlot* ram)
    {
        if (_pages.TryGetValue(phys, out nint known))
        {
            return (CodePage*)known;
        }

        CodePage* page = (CodePage*)Take(sizeof(CodePage));
        *page = new CodePage
        {
            Phys = phys,
            Host = ram->Host + (phys - ram->Start),
            SharedLines = ram->CodeLines + ((phys - ram->Start) >> 12),
        };
        _pages.Add(phys, (nint)page);
        return page;
    }

    /// <summary>Enters a block whose operations were written at <see cref="Next"/>.</summary>
    /// <param name="page">Null for a block that is not found by key.</param>
    public Block* Commit(ulong key, CodePage* page, int opCount)
    {
        Op* ops = Next;
        Take(opCount * sizeof(Op));
        Block* block = (Block*)Take(sizeof(Block));
        *block = new Block { Key = key, Ops = ops, OpCount = opCount };
        if (page != null)
        {
            block->Next = page->First;
            page->First = block;
            _blocks[key] = (nint)block;
        }

        return block;
    }

    /// <summary>Gives up every block of a page.</summary>
    public void Invalidate(ulong phys)
    {
        if (!_pages.TryGetValue(phys, out nint known))
        {
            return;
        }

        CodePage* page = (CodePage*)known;
        for (Block* b = page->First; b != null; b = b->Next)
        {
            MakeStale(b);
            _blocks.Remove(b->Key);
            JumpEntry* j = _c->Jumps + JumpTable.Hash(b->Key);
            if (j->Key == b->Key)
            {
                j->Key = ulong.MaxValue;
            }
        }

        page->First = null;
        page->Lines = 0;
    }

    public static void MakeStale(Block* b)
    {
        for (int i = 0; i < b->OpCount; i++)
        {
            if ((b->Ops[i].LengthAndStart & 0x80) != 0)
            {
                b->Ops[i].Fn = &BranchOps.Stale;
            }
        }
    }

    /// <summary>True when the lines under the page's blocks are as they were when translated.</summary>
    public static bool IsCurrent(CodePage* page)
    {
        if (page->Lines == 0)
        {
            return true;
        }

        (ulong a, ulong b) = Checksum(page);
        return a == page->ChecksumA && b == page->ChecksumB;
    }

    public static void Seal(CodePage* page) => (page->ChecksumA, page->ChecksumB) = Checksum(page);

    /// <summary>Forgets everything and takes the memory back. Only while no block runs.</summary>
    public void Reset()
    {
        _used = 0;
        _pages.Clear();
        _blocks.Clear();
        for (int i = 0; i < JumpTable.Size; i++)
        {
            _c->Jumps[i].Key = ulong.MaxValue;
        }
    }

    public void Dispose() => NativeMemory.AlignedFree(_arena);

    private static (ulong A, ulong B) Checksum(CodePage* page)
    {
        uint a = 1;
        uint b = 2;
        uint d = 3;
        uint e = 4;
        for (ulong lines = page->Lines; lines != 0; lines &= lines - 1)
        {
            ulong* p = (ulong*)(page->Host + (BitOperations.TrailingZeroCount(lines) * 64));
            a = BitOperations.Crc32C(BitOperations.Crc32C(a, p[0]), p[4]);
            b = BitOperations.Crc32C(BitOperations.Crc32C(b, p[1]), p[5]);
            d = BitOperations.Crc32C(BitOperations.Crc32C(d, p[2]), p[6]);
            e = BitOperations.Crc32C(BitOperations.Crc32C(e, p[3]), p[7]);
        }

        return (((ulong)a << 32) | b, ((ulong)d << 32) | e);
    }

    private byte* Take(int bytes)
    {
        byte* p = _arena + _used;
        _used += (bytes + 31) & ~31;
        return p;
    }
}
