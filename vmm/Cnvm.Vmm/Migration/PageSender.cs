using System.Buffers.Binary;
using System.Numerics;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Sends pages: runs of pages with their contents, compressed where both sides can and it helps, and runs of zero pages without. One
/// thread; the guest may run and write meanwhile, which its dirty log then shows.
/// </summary>
internal sealed class PageSender(FrameWriter writer, GuestMemory memory, bool compress)
{
    private const int DescriptionBytes = sizeof(uint) + (MigrationWire.PagesPerFrame * MigrationWire.RunBytes);

    // Zero pages send nothing for a long time: every 16 MiB somebody may want to end it all the same.
    private const int WordsPerQuestion = 63;

    private readonly byte[] _data = new byte[MigrationWire.PagesPerFrame * MigrationWire.PageBytes];
    private readonly byte[] _runs = new byte[DescriptionBytes];
    private readonly byte[] _zeros = new byte[MigrationWire.ZeroRunsPerFrame * MigrationWire.ZeroRunBytes];
    private int _pages;
    private int _runCount;
    private ulong _runEnd;
    private int _zeroCount;
    private ulong _zeroEnd;

    /// <summary>Pages sent with their contents so far.</summary>
    public long DataPages { get; private set; }

    /// <summary>Pages sent as zeros so far.</summary>
    public long ZeroPages { get; private set; }

    /// <summary>Sends the pages of a bitmap and takes them out of it.</summary>
    /// <param name="pages">Of the regions of the machine's memory.</param>
    /// <param name="goesOn">Asked after every message; false leaves the rest in the bitmap.</param>
    public void Send(DirtyBitmap pages, Func<bool> goesOn)
    {
        bool wanted = true;
        for (int region = 0; wanted && region < pages.Regions.Count; region++)
        {
            ReadOnlySpan<ulong> words = pages.Words(region);
            for (int w = 0; wanted && w < words.Length; w++)
            {
                if (words[w] != 0)
                {
                    ulong bits = pages.TakeWord(region, w);
                    wanted = SendWord(pages, region, w, bits, goesOn) && ((w & WordsPerQuestion) != WordsPerQuestion || goesOn());
                }
            }
        }

        FlushData();
        FlushZeros();
    }

    private bool SendWord(DirtyBitmap pages, int region, int word, ulong bits, Func<bool> goesOn)
    {
        RamRegion ram = pages.Regions[region];
        for (; bits != 0; bits &= bits - 1)
        {
            ulong page = ((ulong)word * 64) + (ulong)BitOperations.TrailingZeroCount(bits);
            ulong gpa = ram.Gpa + (page << DirtyBitmap.PageShift);
            if (gpa >= ram.End)
            {
                break;
            }

            if (Add(gpa) && !goesOn())
            {
                // What of this word has not been added goes back.
                for (ulong rest = bits & (bits - 1); rest != 0; rest &= rest - 1)
                {
                    pages.MarkPage(region, ((ulong)word * 64) + (ulong)BitOperations.TrailingZeroCount(rest));
                }

                return false;
            }
        }

        return true;
    }

    /// <summary>Adds a page; true if a message went.</summary>
    private bool Add(ulong gpa)
    {
        Span<byte> contents = memory.GetSpan(gpa, MigrationWire.PageBytes);
        if (!contents.ContainsAnyExcept((byte)0))
        {
            return AddZero(gpa);
        }

        contents.CopyTo(_data.AsSpan(_pages * MigrationWire.PageBytes));
        _pages++;
        DataPages++;
        if (_runCount > 0 && _runEnd == gpa)
        {
            Span<byte> count = _runs.AsSpan(sizeof(uint) + ((_runCount - 1) * MigrationWire.RunBytes) + sizeof(ulong));
            BinaryPrimitives.WriteUInt32LittleEndian(count, BinaryPrimitives.ReadUInt32LittleEndian(count) + 1);
        }
        else
        {
            Span<byte> run = _runs.AsSpan(sizeof(uint) + (_runCount++ * MigrationWire.RunBytes));
            BinaryPrimitives.WriteUInt64LittleEndian(run, gpa);
            BinaryPrimitives.WriteUInt32LittleEndian(run[sizeof(ulong)..], 1);
        }

        _runEnd = gpa + MigrationWire.PageBytes;
        if (_pages < MigrationWire.PagesPerFrame)
        {
            return false;
        }

        FlushData();
        return true;
    }

    private bool AddZero(ulong gpa)
    {
        ZeroPages++;
        if (_zeroCount > 0 && _zeroEnd == gpa)
        {
            Span<byte> count = _zeros.AsSpan(((_zeroCount - 1) * MigrationWire.ZeroRunBytes) + sizeof(ulong));
            BinaryPrimitives.WriteUInt64LittleEndian(count, BinaryPrimitives.ReadUInt64LittleEndian(count) + 1);
        }
        else
        {
            Span<byte> run = _zeros.AsSpan(_zeroCount++ * MigrationWire.ZeroRunBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(run, gpa);
            BinaryPrimitives.WriteUInt64LittleEndian(run[sizeof(ulong)..], 1);
        }

        _zeroEnd = gpa + MigrationWire.PageBytes;
        if (_zeroCount < MigrationWire.ZeroRunsPerFrame)
        {
            return false;
        }

        // The last run of a full message cannot grow any more; it costs nothing.
        FlushZeros();
        return true;
    }

    private void FlushData()
    {
        if (_pages == 0)
        {
            return;
        }

        int description = sizeof(uint) + (_runCount * MigrationWire.RunBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(_runs, (uint)_runCount);
        ReadOnlySpan<byte> data = _data.AsSpan(0, _pages * MigrationWire.PageBytes);
        Span<byte> payload = writer.Begin(description + data.Length);
        _runs.AsSpan(0, description).CopyTo(payload);

        // Compressed only if an eighth is saved: unpacking has its price too.
        int packed = compress ? Lz4.Compress(data, payload.Slice(description, data.Length - (data.Length / 8))) : 0;
        if (packed == 0)
        {
            data.CopyTo(payload[description..]);
        }

        writer.End(FrameType.Pages, description + (packed == 0 ? data.Length : packed), packed == 0 ? (ushort)0 : MigrationWire.FlagLz4);
        _pages = 0;
        _runCount = 0;
    }

    private void FlushZeros()
    {
        if (_zeroCount > 0)
        {
            writer.Write(FrameType.Zeros, _zeros.AsSpan(0, _zeroCount * MigrationWire.ZeroRunBytes));
            _zeroCount = 0;
        }
    }
}
