using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Memory;

/// <summary>Guest-physical memory: RAM, or else the owner's I/O bus.</summary>
internal static unsafe partial class Mmu
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RamSlot* FindRam(Cpu* c, ulong gpa)
    {
        RamSlot* ram = c->Ram;
        for (int n = c->RamCount; n > 0; n--, ram++)
        {
            if (gpa - ram->Start < ram->End - ram->Start)
            {
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
        for (int i = 0; i < TlbSize * 3; i++)
        {
            c->TlbSets[i].ReadTag = NoTag;
            c->TlbSets[i].WriteTag = NoTag;
        }

        for (int i = 0; i < TlbSize * 2; i++)
        {
            c->ExecSets[i].Tag = NoTag;
        }
    }

    /// <summary>Forgets what a load of CR3 invalidates.</summary>
    public static void FlushNonGlobal(Cpu* c)
    {
        for (int i = 0; i < TlbSize * 3; i++)
        {
            if (c->TlbSets[i].Global == 0)
            {
                c->TlbSets[i].ReadTag = NoTag;
                c->TlbSets[i].WriteTag = NoTag;
            }
        }

        for (int i = 0; i < TlbSize * 2; i++)
        {
            if (c->ExecSets[i].Global == 0)
            {
                c->ExecSets[i].Tag = NoTag;
            }
        }
    }

    public static void FlushPage(Cpu* c, ulong a)
    {
        ulong index = (a >> 12) & TlbMask;
        for (ulong i = index; i < TlbSize * 3; i += TlbSize)
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
        for (int i = 0; i < TlbSize * 3; i++)
        {
            c->TlbSets[i].WriteTag = NoTag;
        }
    }
}
