using Cnvm.Fuzz;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Vhd;
using Cnvm.Virtio.Tests.Block.Qcow2;

namespace Cnvm.Virtio.Tests.Block.Vhd;

/// <summary>VHDX images whose last user's host died, and logs made to do harm.</summary>
[Collection(ImageTests.Name)]
public sealed class VhdxLogTests : IDisposable
{
    private const int Sector = VhdxSpec.LogSector;
    private static readonly Guid Log = new("11111111-2222-3333-4444-555555555555");
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(200)]
    [InlineData(254)]
    [InlineData(255)]
    public void What_the_log_says_is_done_as_QEMU_does_it(int start)
    {
        QemuImg.SkipWithout();
        VhdxFile image = Make(out byte[] content);
        byte[] table = image.Bytes.AsSpan(image.TableOffset, Sector).ToArray();
        byte[] older = new byte[Sector];
        Random random = new(start);
        random.NextBytes(older);

        // Of an older round, with a number that is not the next one; then the row: what is wrong first and right later, zeroes, the table.
        int at = start * Sector;
        image.AddLogEntry((at + (20 * Sector)) % image.LogLength, 0, 3, Log, [((ulong)image.TableOffset, older, 0)]);
        int first = at;
        at = image.AddLogEntry(at, first, 50, Log, [((ulong)image.TableOffset, older, 0), ((ulong)image.TableOffset + Sector, older, 0)]);
        at = image.AddLogEntry(at, first, 51, Log, [((ulong)image.TableOffset + Sector, null, Sector)]);
        at = image.AddLogEntry(at, first, 52, Log, [((ulong)image.TableOffset, table, 0)], last: (ulong)image.Bytes.Length + (1 << 20));

        // One that is not whole ends the row.
        int end = image.LogOffset + at;
        image.AddLogEntry(at, first, 53, Log, [((ulong)image.TableOffset, older, 0)]);
        image.Bytes[end + 100 < image.LogOffset + image.LogLength ? end + 100 : image.LogOffset + 100] ^= 1;
        image.Bytes.AsSpan(image.TableOffset, Sector).Clear();
        image.SetLogGuid(Log);
        File.WriteAllBytes(_folder["disk"], image.Bytes);
        File.WriteAllBytes(_folder["qemu"], image.Bytes);

        Refused("its log must be replayed", () => _folder.OpenAs(ImageFormat.Vhdx, "disk", readOnly: true).Dispose());
        Assert.Equal(image.Bytes, File.ReadAllBytes(_folder["disk"]));
        using (ImageDriver driver = _folder.DriveAs(ImageFormat.Vhdx, "disk", content))
        {
            driver.CheckContent();
        }

        // It has been replayed once and for all.
        byte[] after = File.ReadAllBytes(_folder["disk"]);
        VhdxFile replayed = new(after);
        Assert.Equal(Guid.Empty, new Guid(after.AsSpan((int)replayed.Current + VhdxSpec.HeaderLogGuid, 16)));
        Assert.NotEqual(Id(image, VhdxSpec.HeaderFileWriteGuid), Id(replayed, VhdxSpec.HeaderFileWriteGuid));
        Assert.Equal(Id(image, VhdxSpec.HeaderDataWriteGuid), Id(replayed, VhdxSpec.HeaderDataWriteGuid));
        Assert.Equal(image.Bytes.Length + (1 << 20), after.Length);
        _folder.OpenAs(ImageFormat.Vhdx, "disk", readOnly: true).Dispose();
        QemuImg.Check(_folder["disk"], format: "vhdx");

        QemuImg.Run("check", "-f", "vhdx", "-r", "all", _folder["qemu"]);
        Assert.Equal(content, QemuImg.Read(_folder["qemu"], "vhdx"));
        Assert.Equal(
            File.ReadAllBytes(_folder["qemu"]).AsSpan(image.TableOffset, 2 * Sector).ToArray(), after.AsSpan(image.TableOffset, 2 * Sector).ToArray());
    }

    [SkippableFact]
    public void A_log_without_an_entry_of_its_own_is_empty_and_the_first_write_says_so()
    {
        QemuImg.SkipWithout();
        VhdxFile image = Make(out byte[] content);
        image.AddLogEntry(0, 0, 1, new Guid("99999999-2222-3333-4444-555555555555"), [((ulong)image.TableOffset, new byte[Sector], 0)]);
        image.SetLogGuid(Log);
        File.WriteAllBytes(_folder["disk"], image.Bytes);
        using (ImageDriver reader = _folder.DriveAs(ImageFormat.Vhdx, "disk", content, readOnly: true))
        {
            reader.CheckContent();
        }

        using (ImageDriver driver = _folder.DriveAs(ImageFormat.Vhdx, "disk", content))
        {
            Assert.Equal(image.Bytes, File.ReadAllBytes(_folder["disk"]));
            Assert.Equal(512, driver.Write(0, new byte[512]));
            VhdxFile now = new(File.ReadAllBytes(_folder["disk"]));
            Assert.Equal(Guid.Empty, new Guid(now.Bytes.AsSpan((int)now.Current + VhdxSpec.HeaderLogGuid, 16)));
            Assert.NotEqual(Id(image, VhdxSpec.HeaderFileWriteGuid), Id(now, VhdxSpec.HeaderFileWriteGuid));
            Assert.NotEqual(Id(image, VhdxSpec.HeaderDataWriteGuid), Id(now, VhdxSpec.HeaderDataWriteGuid));

            // Both headers, so that one may be lost.
            Assert.Equal(now.Bytes.AsSpan(64 * 1024 + 16, 4000).ToArray(), now.Bytes.AsSpan(128 * 1024 + 16, 4000).ToArray());
            content = driver.Content;
        }

        QemuImg.Check(_folder["disk"], format: "vhdx");
        Assert.Equal(content, QemuImg.Read(_folder["disk"], "vhdx"));
    }

    [SkippableFact]
    public void Logs_that_cannot_be_are_refused_and_change_nothing()
    {
        QemuImg.SkipWithout();
        VhdxFile original = Make(out _);
        byte[] data = new byte[Sector];
        Refuse("may not", i => i.AddLogEntry(0, 0, 1, Log, [(64 * 1024, data, 0)]));
        Refuse("may not", i => i.AddLogEntry(0, 0, 1, Log, [((ulong)i.LogOffset + 8192, data, 0)]));
        Refuse("may not", i => i.AddLogEntry(0, 0, 1, Log, [((ulong)i.TableOffset + 512, data, 0)]));
        Refuse("may not", i => i.AddLogEntry(0, 0, 1, Log, [(1UL << 50, data, 0)]));
        Refuse("may not", i => i.AddLogEntry(0, 0, 1, Log, [(ulong.MaxValue - 4095, data, 0)]));
        Refuse("may not", i => i.AddLogEntry(0, 0, 1, Log, [((ulong)i.TableOffset, null, ulong.MaxValue - 4095)]));
        Refuse("may not", i => i.AddLogEntry(0, 0, 1, Log, [((ulong)i.TableOffset, data, 0), (0, null, 4096)]));
        Refuse("may not", i => i.AddLogEntry(0, 0, 1, Log, [((ulong)i.TableOffset, null, 100)]));
        Refuse("not copied whole", i => i.AddLogEntry(0, 0, 1, Log, [((ulong)i.TableOffset, data, 0)], flushed: 1UL << 40));
        Refuse("which cannot be", i => i.AddLogEntry(0, 0, 1, Log, [((ulong)i.TableOffset, data, 0)], last: 1UL << 60));
        Refuse("which cannot be", i =>
        {
            int at = i.AddLogEntry(0, 0, 1, Log, [((ulong)i.TableOffset, data, 0)], last: 1UL << 60);
            i.AddLogEntry(at, 0, 2, Log, [((ulong)i.TableOffset, data, 0)]);
        });
        Refuse("are the limit", i => i.SetHeader(VhdxSpec.HeaderLogLength, 4, 0xfff0_0000));
        Refuse("are the limit", i => i.SetHeader(VhdxSpec.HeaderLogLength, 4, 0));
        Refuse("which cannot be", i => i.SetHeader(VhdxSpec.HeaderLogLength, 4, 4096));
        Refuse("which cannot be", i => i.SetHeader(VhdxSpec.HeaderLogOffset, 8, 4096));

        // Each entry says that it takes all of the log.
        Refuse("lie over each other", i =>
        {
            i.AddLogEntry(0, 0, 1, Log, [((ulong)i.TableOffset, null, 4096)]);
            for (int at = Sector; at < i.LogLength; at += Sector)
            {
                i.Bytes.AsSpan(i.LogOffset, Sector).CopyTo(i.Bytes.AsSpan(i.LogOffset + at));
            }

            for (int at = 0; at < i.LogLength; at += Sector)
            {
                i.Put(i.LogOffset + at + VhdxSpec.LogEntryLength, 4, (uint)i.LogLength);
            }
        });

        void Refuse(string reason, Action<VhdxFile> damage)
        {
            VhdxFile image = new((byte[])original.Bytes.Clone());
            image.SetLogGuid(Log);
            damage(image);
            File.WriteAllBytes(_folder["disk"], image.Bytes);
            Refused(reason, () => _folder.OpenAs(ImageFormat.Vhdx, "disk").Dispose());
            Assert.Equal(image.Bytes, File.ReadAllBytes(_folder["disk"]));
        }
    }

    [SkippableFact]
    public void Damage_in_a_log_ends_in_an_error_at_most()
    {
        QemuImg.SkipWithout();
        VhdxFile original = Make(out _);
        byte[] table = original.Bytes.AsSpan(original.TableOffset, Sector).ToArray();
        int replayed = 0;
        int runs = SeededRuns.Repeat(300, seed =>
        {
            Random random = new(seed);
            VhdxFile image = new((byte[])original.Bytes.Clone());
            int start = random.Next(image.LogLength / Sector) * Sector;
            int end = image.AddLogEntry(start, start, 1, Log, [((ulong)image.TableOffset, table, 0)]);
            end = image.AddLogEntry(end, start, 2, Log, [((ulong)image.TableOffset + Sector, null, Sector), ((ulong)image.TableOffset, table, 0)]);
            image.SetLogGuid(Log);
            for (int k = random.Next(1, 4); k > 0; k--)
            {
                int at = (start + random.Next((end - start + image.LogLength) % image.LogLength)) % image.LogLength;
                image.Bytes[image.LogOffset + at] = (byte)random.Next(256);
            }

            // A flipped number with a checksum that is right again is what somebody makes on purpose.
            if (random.Next(2) == 0)
            {
                VhdxFile.Sum(image.Bytes.AsSpan(image.LogOffset + start, Math.Min(2 * Sector, image.LogLength - start)));
            }

            MemoryFile file = new(image.Bytes) { OnWrite = offset => offset > 48 << 20 ? -Cnvm.Linux.Errno.ENOSPC : 0 };
            try
            {
                BlockTableCrashTests.Open("vhdx", file).Dispose();
                replayed += file.Writes > 0 ? 1 : 0;
            }
            catch (BlockImageException)
            {
                // As it should be.
            }
        });

        Assert.InRange(replayed, runs / 30, runs - 1);
    }

    [SkippableFact]
    public void A_replay_that_a_dying_host_cuts_short_is_done_again()
    {
        QemuImg.SkipWithout();
        VhdxFile image = Make(out byte[] content);
        byte[] table = image.Bytes.AsSpan(image.TableOffset, Sector).ToArray();
        int at = image.AddLogEntry(0, 0, 7, Log, [((ulong)image.TableOffset, new byte[Sector], 0)]);
        image.AddLogEntry(at, 0, 8, Log, [((ulong)image.TableOffset, table, 0), ((ulong)image.TableOffset + Sector, null, Sector)]);
        image.Bytes.AsSpan(image.TableOffset, Sector).Fill(0xff);
        image.SetLogGuid(Log);
        MemoryFile file = new(image.Bytes);
        BlockTableCrashTests.Open("vhdx", file).Dispose();
        Random random = new(1);
        Assert.InRange(file.Writes, 6, 20);
        for (int cut = 0; cut <= file.Writes; cut++)
        {
            foreach (bool inFlush in new[] { false, true })
            {
                MemoryFile left = new(file.CutAfter(cut, random, inFlush));
                using ImageDriver driver = new(BlockTableCrashTests.Open("vhdx", left), content);
                driver.CheckContent();
            }
        }
    }

    private static Guid Id(VhdxFile file, int offset) => new(file.Bytes.AsSpan((int)file.Current + offset, 16));

    private static void Refused(string reason, Action action)
    {
        BlockImageException e = Assert.Throws<BlockImageException>(action);
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }

    private VhdxFile Make(out byte[] content)
    {
        content = _folder.MakeRaw("raw", 4 << 20, seed: 3);
        QemuImg.Run("convert", "-f", "raw", "-O", "vhdx", "-o", "subformat=dynamic,block_size=1M", _folder["raw"], _folder["disk"]);
        return new VhdxFile(File.ReadAllBytes(_folder["disk"]));
    }
}
