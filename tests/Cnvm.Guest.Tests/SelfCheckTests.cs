using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>Programs that check themselves, and results that must be those of the same program, or of .NET, on this machine.</summary>
public abstract partial class SelfCheckTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private const int DataBytes = 4 << 20;

    /// <summary>Why long work for a processor is left to the long form here, or null.</summary>
    protected virtual string? LongWorkIsLeftOut => null;

    [GuestTheory]
    [InlineData("small", 1)]
    [InlineData("small", 4)]
    [InlineData("debian", 2)]
    public async Task A_processor_computes_what_this_one_computes(string kernel, int cpus)
    {
        const int Seconds = 5;
        await using var scratch = new ScratchDirectory(Host);
        GuestSetup setup = (kernel == "debian" ? GuestSetup.Debian : GuestSetup.Small) with { Cpus = cpus, MemoryMiB = 512 };
        setup = setup with { Disks = [.. setup.Disks, await GuestPrograms.AddDiskAsync(scratch, Host)] };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await GuestPrograms.UnpackAsync(guest, kernel == "debian" ? "vdb" : "vda");

        Assert.Equal(GuestPrograms.Output(GuestPrograms.SelfCheck, "digests").Trim(), await guest.AskAsync("/run/selfcheck digests"));
        string end = await guest.AskAsync($"/run/selfcheck run {Seconds} {cpus}");

        output.WriteLine(end);
        Assert.Matches(SelfCheckEnd(), end);
        Assert.Equal("0", await guest.AskAsync("dmesg | grep -ciE 'soft lockup|rcu.*stall|Oops|BUG:' || true"));
        await guest.PowerOffAsync();
    }

    [GuestFact]
    public async Task Digests_ciphers_and_compression_agree_with_this_machine()
    {
        Skip.If(LongWorkIsLeftOut is not null, LongWorkIsLeftOut);
        byte[] data = new byte[DataBytes];
        new Random(20261121).NextBytes(data.AsSpan(0, DataBytes / 2));
        for (int i = DataBytes / 2; i < DataBytes; i++)
        {
            // Something to compress: words of a small alphabet.
            data[i] = (byte)"abcdefgh "[(int)((i * 7919L >> 5) % 9)];
        }

        byte[] key = Convert.FromHexString("00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF");
        byte[] iv = key[..16];
        await using var scratch = new ScratchDirectory(Host);
        string[] disks = [await AddAsync(scratch, "data", data), await AddAsync(scratch, "packed", Pack(data))];
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Debian with { MemoryMiB = 512, Disks = [.. GuestSetup.Debian.Disks, .. disks] });

        string sha256 = Convert.ToHexStringLower(SHA256.HashData(data));
        Assert.Equal(sha256, await FirstWordAsync("sha256sum </dev/vdb"));
        Assert.Equal(Convert.ToHexStringLower(SHA512.HashData(data)), await FirstWordAsync("sha512sum </dev/vdb"));
#pragma warning disable CA5350, CA5351 // Work for a processor, whose result is known; nothing is protected by it.
        Assert.Equal(Convert.ToHexStringLower(MD5.HashData(data)), await FirstWordAsync("md5sum </dev/vdb"));
        Assert.Equal(Convert.ToHexStringLower(SHA1.HashData(data)), await FirstWordAsync("openssl dgst -sha1 -r </dev/vdb"));
#pragma warning restore CA5350, CA5351
        using (var aes = Aes.Create())
        {
            aes.Key = key;
            string encrypt = $"openssl enc -aes-256-cbc -K {Convert.ToHexString(key)} -iv {Convert.ToHexString(iv)} -in /dev/vdb";
            Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(aes.EncryptCbc(data, iv))), await FirstWordAsync($"{encrypt} | sha256sum"));
            Assert.Equal(sha256, await FirstWordAsync($"{encrypt} | {encrypt.Replace(" -in /dev/vdb", " -d", StringComparison.Ordinal)} | sha256sum"));
        }

        Assert.Equal(sha256, await FirstWordAsync("gzip -9 </dev/vdb | gunzip | sha256sum"));
        Assert.Equal(sha256, await FirstWordAsync("gunzip </dev/vdc 2>/dev/null | sha256sum"));
        await guest.PowerOffAsync();

        async Task<string> FirstWordAsync(string command) => (await guest.AskAsync(command)).Split(' ')[0];
    }

    /// <summary>The compiler is a long way through a large program: one wrong bit in it and the result is another one.</summary>
    [GuestFact]
    public async Task A_compiler_makes_the_same_program()
    {
        Skip.If(LongWorkIsLeftOut is not null, LongWorkIsLeftOut);
        await using var scratch = new ScratchDirectory(Host);
        string toolchain = await GuestPrograms.AddToolchainAsync(scratch, Host);
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Debian with { MemoryMiB = 768, Disks = [.. GuestSetup.Debian.Disks, toolchain] });
        await guest.AskAsync("mount -t ext4 -o ro,noload /dev/vdb /mnt && mount --bind /run /mnt/out");

        await guest.AskAsync($"TMPDIR=/out chroot /mnt /usr/bin/gcc {string.Join(' ', GuestPrograms.CompilerFlags)} -o /out/selfcheck /src/selfcheck.c");

        string made = await guest.AskAsync("sha256sum </run/selfcheck");
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(GuestPrograms.SelfCheck))), made.Split(' ')[0]);
        Assert.Equal(GuestPrograms.Output(GuestPrograms.SelfCheck, "digests").Trim(), await guest.AskAsync("/run/selfcheck digests"));
        await guest.PowerOffAsync();
    }

    private static byte[] Pack(byte[] data)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
        {
            gzip.Write(data);
        }

        // A disk is whole sectors; gunzip takes zeroes at the end for padding.
        packed.SetLength((packed.Length + 511) & ~511L);
        return packed.ToArray();
    }

    private async Task<string> AddAsync(ScratchDirectory scratch, string name, byte[] content)
    {
        string here = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(here, content);
            await scratch.MakeFileAsync(name, "0");
            await Host.Commands.CopyToAsync(here, $"{scratch.Path}/{name}");
            return $"path={scratch.Path}/{name},image_type=raw,readonly=on";
        }
        finally
        {
            File.Delete(here);
        }
    }

    [GeneratedRegex(@"selfcheck: checks=\d{3,} errors=0 rounds=[1-9]")]
    private static partial Regex SelfCheckEnd();
}
