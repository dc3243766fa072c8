using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>virtio-blk does what Linux and fio ask of a disk. One Debian guest with three disks serves all of it.</summary>
public abstract class BlockTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    [GuestTheory]
    [InlineData("cloud", "num_queues=2")]
    [InlineData("microvm", "direct=off,_disable_io_uring=on")]
    public async Task Data_stays_as_written_and_holes_as_asked(string machine, string keys)
    {
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "128M");
        await scratch.MakeFileAsync("fixed", "16M");
        (await Host.RunAsync($"head -c 16M /dev/urandom >{scratch.Path}/fixed; sha256sum <{scratch.Path}/fixed")).OrThrow();
        GuestSetup setup = GuestSetup.Debian with
        {
            Machine = machine,
            Cpus = 2,
            MemoryMiB = 768,
            Disks =
            [
                .. GuestSetup.Debian.Disks, $"path={scratch.Path}/disk,image_type=raw,serial=SCRATCH-1,{keys}",
                $"path={scratch.Path}/fixed,image_type=raw,readonly=on",
            ],
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);

        Assert.Equal("SCRATCH-1", await guest.AskAsync("cat /sys/block/vdb/serial"));
        await VerifyWithFioAsync(guest);
        await DiscardAndZeroAsync(guest, scratch);
        await TrimAsync(guest, scratch);
        await RefuseWritesAsync(guest, scratch);
        await RefuseASecondUserAsync(guest, scratch);
        await guest.PowerOffAsync();
    }

    /// <summary>fio writes blocks with checksums in them at random places, reads them back, and fails on the first wrong one.</summary>
    private async Task VerifyWithFioAsync(GuestVm guest)
    {
        const string Always = "--filename=/dev/vdb --verify=crc32c --verify_fatal=1 --do_verify=1 --rw=randrw --rwmixwrite=70 --numjobs=2 --offset_increment=64M --size=64M --group_reporting --minimal --randrepeat=0";
        string direct = await guest.AskAsync($"fio --name=direct --direct=1 --ioengine=libaio --iodepth=16 --bsrange=4k-64k --io_size=48M {Always}");
        string buffered = await guest.AskAsync($"fio --name=buffered --ioengine=psync --bsrange=512-128k --bs_unaligned=0 --fsync=64 --io_size=48M {Always}");
        // Field 5 of fio's terse form is the error, 6 the KiB read and 47 the KiB written.
        foreach (string line in (string[])[direct, buffered])
        {
            string[] fields = line.Split('\n').Single(l => l.StartsWith("3;", StringComparison.Ordinal)).Split(';');
            output.WriteLine($"fio {fields[2]}: read {fields[5]} KiB, wrote {fields[46]} KiB");
            Assert.Equal("0", fields[4]);
            Assert.True(long.Parse(fields[5]) > 8192 && long.Parse(fields[46]) > 8192, line);
        }
    }

    private static async Task DiscardAndZeroAsync(GuestVm guest, ScratchDirectory scratch)
    {
        await guest.AskAsync("dd if=/dev/urandom of=/dev/vdb bs=1M oflag=direct 2>&1 | grep -c 'No space left'");
        Assert.InRange(await scratch.AllocatedKiBAsync("disk"), 128 * 1024, 129 * 1024);

        await guest.AskAsync("blkdiscard --offset 32M --length 64M /dev/vdb");
        Assert.InRange(await scratch.AllocatedKiBAsync("disk"), 64 * 1024, 65 * 1024);
        string around = await guest.AskAsync("for at in 31 32 95 96; do [ $(dd if=/dev/vdb bs=1M skip=$at count=1 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c) = 0 ] && echo zeroes || echo data; done");
        Assert.Equal("data\nzeroes\nzeroes\ndata", around);

        // Write-zeroes: the kernel sends it without writing a page when the device has it.
        await guest.AskAsync("blkdiscard --zeroout --offset 8M --length 16M /dev/vdb");
        string zeroes = await guest.AskAsync("for at in 7 8 23 24; do [ $(dd if=/dev/vdb bs=1M skip=$at count=1 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c) = 0 ] && echo zeroes || echo data; done");
        Assert.Equal("data\nzeroes\nzeroes\ndata", zeroes);
        Assert.NotEqual("0", await guest.AskAsync("cat /sys/block/vdb/queue/write_zeroes_max_bytes"));
    }

    private static async Task TrimAsync(GuestVm guest, ScratchDirectory scratch)
    {
        await guest.AskAsync("blkdiscard /dev/vdb && mke2fs -q -t ext4 /dev/vdb && mount /dev/vdb /mnt && dd if=/dev/urandom of=/mnt/big bs=1M count=60 conv=fsync 2>/dev/null");
        long full = await scratch.AllocatedKiBAsync("disk");
        Assert.InRange(full, 60 * 1024, 100 * 1024);
        await guest.AskAsync("rm /mnt/big && sync && fstrim /mnt && umount /mnt && e2fsck -fn /dev/vdb");
        Assert.InRange(await scratch.AllocatedKiBAsync("disk"), 0, full - (50 * 1024));
    }

    private async Task RefuseWritesAsync(GuestVm guest, ScratchDirectory scratch)
    {
        string before = await SumAsync();
        Assert.Equal("1", await guest.AskAsync("cat /sys/block/vdc/ro"));
        Assert.NotEqual(0, (await guest.RunAsync("dd if=/dev/zero of=/dev/vdc bs=4096 count=1 conv=fsync")).ExitCode);
        // Also when the guest's kernel believes that it may write.
        CommandResult forced = await guest.RunAsync("blockdev --setrw /dev/vdc; dd if=/dev/zero of=/dev/vdc bs=4096 count=1 oflag=direct conv=fsync");
        Assert.NotEqual(0, forced.ExitCode);
        Assert.Equal(before.Split(' ')[0], (await guest.AskAsync("sha256sum </dev/vdc")).Split(' ')[0]);
        Assert.Equal(before, await SumAsync());

        async Task<string> SumAsync() => (await Host.RunAsync($"sha256sum <{scratch.Path}/fixed")).OrThrow().Output;
    }

    private async Task RefuseASecondUserAsync(GuestVm guest, ScratchDirectory scratch)
    {
        CommandResult second = await Host.RunAsync(
            $"cd {scratch.Path} && {Shell.Quote(GuestHostFixture.Vmm)} --hypervisor {Host.Hypervisor} --kernel {Repository.Image("vmlinux-small")} --disk path={scratch.Path}/disk,image_type=raw --serial off --console off --api-socket path={scratch.Path}/second.sock",
            GuestVm.Patience);
        Assert.Equal(1, second.ExitCode);
        Assert.Contains($"{scratch.Path}/disk", second.Error, StringComparison.Ordinal);
        Assert.Matches("(?i)lock|in use|another", second.Error);
        Assert.Equal("disk\nfixed\n", (await Host.RunAsync($"ls -A {scratch.Path}")).OrThrow().Output);
        // The first one goes on as if nothing had been.
        await guest.AskAsync("dd if=/dev/zero of=/dev/vdb bs=4096 count=1 conv=fsync");
    }
}
