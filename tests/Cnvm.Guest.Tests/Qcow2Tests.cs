using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>A Debian guest whose root disk is a qcow2 image in front of the host's, and which has another one for data.</summary>
public abstract class Qcow2Tests(GuestHostFixture fixture) : GuestTests(fixture)
{
    private const string QemuImg = "/usr/bin/qemu-img";

    /// <summary>Brings a file of the host here, in pieces that its command channel keeps whole.</summary>
    private async Task FetchAsync(string from, string to)
    {
        const int Piece = 512 * 1024;
        long size = long.Parse((await Host.RunAsync($"stat -c %s {from}")).OrThrow().Output);
        await using FileStream file = File.Create(to);
        for (long at = 0; at < size; at += Piece)
        {
            string piece = (await Host.RunAsync($"dd if={from} bs={Piece} skip={at / Piece} count=1 2>/dev/null | base64 -w 0")).OrThrow().Output;
            await file.WriteAsync(Convert.FromBase64String(piece));
        }
    }

    [GuestFact]
    public async Task Debian_lives_on_an_image_and_leaves_it_whole()
    {
        Skip.IfNot(File.Exists(QemuImg), "there is no qemu-img here: 'make deps' installs qemu-utils");
        await using var scratch = new ScratchDirectory(Host);
        using var here = new TemporaryDirectory(Path.GetTempPath(), "cnvm-images-");
        string size = (await Host.RunAsync($"blockdev --getsize64 {Host.RootDisk} 2>/dev/null || stat -Lc %s {Host.RootDisk}")).OrThrow().Output.Trim();
        GuestPrograms.Output(QemuImg, "create", "-f", "qcow2", "-u", "-b", Host.RootDisk, "-F", "raw", here.File("root"), size);
        GuestPrograms.Output(QemuImg, "create", "-f", "qcow2", "-o", "cluster_size=4k,lazy_refcounts=on", here.File("data"), "48M");
        await PutAsync("root", size: 0);
        await PutAsync("data", size: 0);
        GuestSetup setup = GuestSetup.Debian with
        {
            Cpus = 2,
            MemoryMiB = 512,
            Disks = [$"path={scratch.Path}/root,image_type=qcow2,backing_files=on", $"path={scratch.Path}/data,num_queues=2"],
        };
        string sum;
        await using (GuestVm guest = await GuestVm.BootAsync(Host, setup))
        {
            await guest.AskAsync("fio --name=v --filename=/dev/vdb --ioengine=libaio --iodepth=8 --direct=1 --rw=randwrite --bsrange=512-64k --bs_unaligned=0 "
                + "--size=48M --io_size=4M --verify=crc32c --verify_fatal=1 --do_verify=1 --numjobs=1 --minimal");
            await guest.AskAsync("blkdiscard /dev/vdb && mke2fs -q -t ext4 /dev/vdb && mount /dev/vdb /mnt && head -c 8M /dev/urandom >/mnt/big && cp /mnt/big /root/big && sync");
            sum = await guest.AskAsync("sha256sum </root/big");
            Assert.Equal(sum, await guest.AskAsync("echo 3 >/proc/sys/vm/drop_caches; sha256sum </mnt/big"));
            long full = await scratch.AllocatedKiBAsync("data");
            await guest.AskAsync("rm /mnt/big && sync && fstrim -v /mnt && sync");
            Assert.InRange(await scratch.AllocatedKiBAsync("data"), 0, full - (6 * 1024));
            await guest.AskAsync("umount /mnt && e2fsck -fn /dev/vdb");
            await guest.PowerOffAsync();
        }

        await CheckAsync("root");
        await CheckAsync("data");

        if (!Host.PulsesEveryGuest && !Soak.IsOn)
        {
            // Where processors are emulated, a second boot takes too long for the short form.
            return;
        }

        // What was written is there when it boots again, and the next user finds it as QEMU does.
        await using GuestVm again = await GuestVm.BootAsync(Host, setup with { Pulses = false });
        Assert.Equal(sum, await again.AskAsync("sha256sum </root/big"));
        await again.PowerOffAsync();

        async Task PutAsync(string name, int size)
        {
            await scratch.MakeFileAsync(name, $"{size}");
            await Host.Commands.CopyToAsync(here.File(name), $"{scratch.Path}/{name}");
        }

        async Task CheckAsync(string name)
        {
            await FetchAsync($"{scratch.Path}/{name}", here.File(name));

            // The backing file is the other host's; whether the image is whole does not depend on it.
            string image = $$$"""json:{"driver":"qcow2","file":{"driver":"file","filename":"{{{here.File(name)}}}"},"backing":null}""";
            Assert.Contains("No errors were found", GuestPrograms.Output(QemuImg, "check", image), StringComparison.Ordinal);
        }
    }
}
