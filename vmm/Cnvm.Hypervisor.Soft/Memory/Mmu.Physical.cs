using System.Numerics;
using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Memory;

/// <summary>Guest-physical memory: RAM, or else the owner's I/O bus.</summary>
internal static unsafe partial class Mmu
{
    /// <summary>The region of an address, whose page is here; null if it is no RAM. Every host address of guest RAM is made with its result.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RamSlot* FindRam(Cpu* c, ulong gpa)
    {
        RamSlot* ram = c->Ram;
        for (int n = c->RamCount; n > 0; n--, ram++)
        {
            if (gpa - ram->Start < ram->End - ram->Start)
            {
                if (Volatile.Read(ref ram->Awaits) != 0)
                {
                    SoftVcpu.Of(c).AwaitPage(gpa);
                }

                return ram;
            }
        }

        return null;
    }

    /// <summary>Reads bytes that do not cross a page.</summary>
    public static void ReadPhysical(Cpu* c, ulong gpa, byte* data, int size)
    {
        RamSlot* ram = FindRam(c, gpa);
        if (ram != null)
        {
            CopySized(data, ram->Host + (gpa - ram->Start), size);
            return;
        }

        for (int done = 0; done < size; done += 8)
        {
            SoftVcpu.Of(c).ReadMmio(gpa + (uint)done, new Span<byte>(data + done, Math.Min(8, size - done)));
        }
    }

    /// <summary>Writes bytes that do not cross a page, and gives up translated code that they change.</summary>
    public static void WritePhysical(Cpu* c, ulong gpa, byte* data, int size)
    {
        RamSlot* ram = FindRam(c, gpa);
        if (ram == null)
        {
            for (int done = 0; done < size; done += 8)
            {
                SoftVcpu.Of(c).WriteMmio(gpa + (uint)done, new ReadOnlySpan<byte>(data + done, Math.Min(8, size - done)));
            }

            return;
        }

        ulong offset = gpa - ram->Start;
        CopySized(ram->Host + offset, data, size);
        ulong page = offset >> 12;
        if (ram->Dirty != null)
        {
            MarkDirty(ram, page);
        }

        ulong lines = Volatile.Read(ref ram->CodeLines[page]);
        if (lines != 0)
        {
            int first = (int)(offset & 0xfff) >> 6;
            int last = ((int)(offset & 0xfff) + size - 1) >> 6;
            ulong touched = (~0ul << first) & (~0ul >> (63 - last));
            if ((lines & touched) != 0)
            {
                SoftVcpu.Of(c).CodeWasWritten(gpa & PageMask, ram->CodeLines + page);
            }
        }
    }

    /// <summary>Operands of the usual sizes are one access, as other vCPUs and devices expect.</summary>
    private static void CopySized(byte* to, byte* from, int size)
    {
        switch (size)
        {
            case 1:
                *to = *from;
                break;
            case 2:
                *(ushort*)to = *(ushort*)from;
                break;
            case 4:
                *(uint*)to = *(uint*)from;
                break;
            case 8:
                *(ulong*)to = *(ulong*)from;
                break;
            default:
                Unsafe.CopyBlockUnaligned(to, from, (uint)size);
                break;
        }
    }

    public static void MarkDirty(RamSlot* ram, ulong page)
    {
        ulong* words = ram->Dirty;
        if (words != null && (Volatile.Read(ref words[page >> 6]) & (1ul << (int)(page & 63))) == 0)
        {
            Interlocked.Or(ref words[page >> 6], 1ul << (int)(page & 63));
        }
    }

    /// <summary>Forgets every translation.</summary>
    public static void FlushAll(Cpu* c)
    {
        c->WalkFlags = 0;
        for (int set = 0; set < DataSets; set++)
        {
            for (ulong groups = c->TlbGroups[set]; groups != 0; groups &= groups - 1)
            {
                TlbEntry* e = c->TlbSets + (set * TlbSize) + (BitOperations.TrailingZeroCount(groups) * TlbGroup);
                for (int i = 0; i < TlbGroup; i++)
                {
                    e[i].ReadTag = NoTag;
                    e[i].WriteTag = NoTag;
                }
            }

            c->TlbGroups[set] = 0;
        }

        FlushExec(c);
    }

    /// <summary>Forgets every translation of instructions.</summary>
    public static void FlushExec(Cpu* c)
    {
        for (int set = 0; set < 2; set++)
        {
            for (ulong groups = c->TlbGroups[DataSets + set]; groups != 0; groups &= groups - 1)
            {
                ExecEntry* e = c->ExecSets + (set * TlbSize) + (BitOperations.TrailingZeroCount(groups) * TlbGroup);
                for (int i = 0; i < TlbGroup; i++)
                {
                    e[i].Tag = NoTag;
                }
            }

            c->TlbGroups[DataSets + set] = 0;
        }
    }

    /// <summary>Forgets what a load of CR3 invalidates.</summary>
    public static void FlushNonGlobal(Cpu* c)
    {
        for (int set = 0; set < DataSets; set++)
        {
            for (ulong groups = c->TlbGroups[set]; groups != 0; groups &= groups - 1)
            {
                TlbEntry* e = c->TlbSets + (set * TlbSize) + (BitOperations.TrailingZeroCount(groups) * TlbGroup);
                bool kept = false;
                for (int i = 0; i < TlbGroup; i++)
                {
                    if (e[i].Global == 0)
                    {
                        e[i].ReadTag = NoTag;
                        e[i].WriteTag = NoTag;
                    }
                    else
                    {
                        kept = true;
                    }
                }

                c->TlbGroups[set] &= kept ? ulong.MaxValue : ~(groups & (0 - groups));
            }
        }

        for (int set = 0; set < 2; set++)
        {
            for (ulong groups = c->TlbGroups[DataSets + set]; groups != 0; groups &= groups - 1)
            {
                ExecEntry* e = c->ExecSets + (set * TlbSize) + (BitOperations.TrailingZeroCount(groups) * TlbGroup);
                bool kept = false;
                for (int i = 0; i < TlbGroup; i++)
                {
                    if (e[i].Global == 0)
                    {
                        e[i].Tag = NoTag;
                    }
                    else
                    {
                        kept = true;
                    }
                }

                c->TlbGroups[DataSets + set] &= kept ? ulong.MaxValue : ~(groups & (0 - groups));
            }
        }
    }

    public static void FlushPage(Cpu* c, ulong a)
    {
        ulong index = (a >> 12) & TlbMask;
        for (ulong i = index; i < TlbSize * DataSets; i += TlbSize)
        {
            c->TlbSets[i].ReadTag = NoTag;
            c->TlbSets[i].WriteTag = NoTag;
        }

        for (ulong i = index; i < TlbSize * 2; i += TlbSize)
        {
            c->ExecSets[i].Tag = NoTag;
        }
    }

    /// <summary>Makes every next write to a page come to <see cref="Translate"/>.</summary>
    public static void FlushWrites(Cpu* c)
    {
        for (int set = 0; set < DataSets; set++)
        {
            for (ulong groups = c->TlbGroups[set]; groups != 0; groups &= groups - 1)
            {
                TlbEntry* e = c->TlbSets + (set * TlbSize) + (BitOperations.TrailingZeroCount(groups) * TlbGroup);
                for (int i = 0; i < TlbGroup; i++)
                {
                    e[i].WriteTag = NoTag;
                }
            }
        }
    }
}
