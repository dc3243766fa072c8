using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>Guests whose disks and folders are served by other processes: QEMU's back ends, and cnvm's own.</summary>
public abstract class VhostUserTests(GuestHostFixture fixture) : GuestTests(fixture)
{
    private const string DiskBackend = "/usr/bin/qemu-storage-daemon";
    private const string FsBackend = "/usr/lib/qemu/virtiofsd";
    private const string Qemu = "/usr/bin/qemu-system-x86_64";
    private const string Digest = "md5sum </dev/vda";

    private static GuestSetup Shared => GuestSetup.Small with { MemoryMiB = 128, MemoryKeys = ",shared=on", Pulses = false };

    private static readonly string OwnDiskBackend = Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, "cnvm-vhost-user-blk");

    private static readonly string OwnFsBackend = Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, "cnvm-vhost-user-fs");

    [GuestTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_disk_keeps_its_data_over_pauses_snapshots_and_a_lost_back_end(bool isOwn)
    {
        SkipWithout(isOwn ? OwnDiskBackend : DiskBackend);
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "8M");
        (await Host.RunAsync($"mkdir {scratch.Path}/full {scratch.Path}/more {scratch.Path}/all")).OrThrow();
        string merge = Shell.Quote(Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, "cnvm")) + " snapshot merge";
        string digest;
        await using (HostProcess disk = await ServeDiskAsync(scratch, isOwn))
        await using (GuestVm guest = await GuestVm.BootAsync(Host, Shared with { Disks = [$"vhost_user=on,socket={scratch.Path}/blk.sock,num_queues=1"] }))
        {
            await guest.AskAsync("dd if=/dev/urandom of=/dev/vda bs=64k oflag=direct 2>&1 | grep -c 'No space left'");
            digest = await guest.AskAsync(Digest);
            Assert.Equal(digest, (await Host.RunAsync($"md5sum <{scratch.Path}/disk")).OrThrow().Output.Trim());

            // Requests are in flight at each pause.
            await guest.AskAsync("(while [ ! -e /tmp/stop ]; do dd if=/dev/vda of=/dev/null bs=4k iflag=direct 2>/dev/null || touch /tmp/failed; done; touch /tmp/done) >/dev/null 2>&1 &");
            for (int i = 0; i < 5; i++)
            {
                await guest.PutAsync("vm.pause");
                await guest.PutAsync("vm.resume");
            }

            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{scratch.Path}}/full","track_changes":true}""");
            await guest.PutAsync("vm.resume");

            // What the back end reads into the guest's memory is in its log, or the difference would lack it. As long as somebody has the
            // disk open, its pages stay there.
            await guest.AskAsync("(exec 3</dev/vda; exec sleep 100000) >/dev/null 2>&1 &");
            Assert.Equal(digest, await guest.AskAsync($"touch /tmp/stop; while [ ! -e /tmp/done ]; do usleep 20000; done; ls /tmp/failed 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; {Digest}"));
            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{scratch.Path}}/more","incremental":true}""");
        }

        // Another back end has zeros: what the restored guest knows comes from its memory, what it does not from there.
        (await Host.RunAsync($"cd {scratch.Path} && {merge} full more all && rm disk && truncate -s 8M disk", GuestVm.Patience)).OrThrow();
        await using (HostProcess disk = await ServeDiskAsync(scratch, isOwn))
        await using (GuestVm guest = await GuestVm.RestoreAsync(Host, $"{scratch.Path}/all"))
        {
            Assert.Equal(digest, await guest.AskAsync(Digest));
            Assert.NotEqual(digest, await guest.AskAsync($"echo 3 >/proc/sys/vm/drop_caches; {Digest}"));

            // A back end ends between requests, another one takes its place: the guest waits for it and notices nothing.
            (await Host.RunAsync($"kill $(cat {scratch.Path}/blk.pid)")).OrThrow();
            await disk.WaitForExitAsync(GuestVm.Patience);
            await guest.TypeAsync("dd if=/dev/urandom of=/dev/vda bs=64k count=16 oflag=direct >/tmp/late 2>&1; echo LATE-$?.");
            await using HostProcess other = await ServeDiskAsync(scratch, isOwn);
            await guest.WaitForAsync("LATE-0.");
            Assert.Equal(await guest.AskAsync("dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | md5sum"), (await Host.RunAsync($"head -c 1M {scratch.Path}/disk | md5sum")).OrThrow().Output.Trim());
            var counters = (await guest.GetAsync("vm.counters")).GetProperty("_disk0");
            Assert.Equal(1, counters.GetProperty("connected").GetInt32());
            Assert.True(counters.GetProperty("reconnects").GetInt32() >= 1);
            await guest.PowerOffAsync();
        }
    }

    /// <summary>Killed in the middle of requests, again and again: the next one does again what was in flight, and the guest sees a slow disk.</summary>
    [GuestFact]
    public async Task A_back_end_that_is_killed_at_work_is_replaced_and_nothing_is_lost()
    {
        SkipWithout(OwnDiskBackend);
        await using var scratch = new ScratchDirectory(Host);
        (await Host.RunAsync($"mkdir -p {scratch.Path} && qemu-img create -q -f qcow2 {scratch.Path}/disk 32M")).OrThrow();
        HostProcess disk = await ServeDiskAsync(scratch, isOwn: true, "qcow2");
        try
        {
            await using GuestVm guest = await GuestVm.BootAsync(Host, Shared with { Disks = [$"vhost_user=on,socket={scratch.Path}/blk.sock,num_queues=1"] });
            const string Work = "i=0; while [ ! -e /tmp/stop ]; do i=$((i + 1)); dd if=/tmp/data of=/dev/vda bs=64k seek=$((i % 50 * 8)) oflag=direct 2>/dev/null || echo write $i; dd if=/dev/vda bs=64k skip=$((i % 50 * 8)) count=8 iflag=direct 2>/dev/null | cmp - /tmp/data || echo read $i; echo $i >/tmp/round; done >/tmp/wrong 2>&1; touch /tmp/done";
            const string Progress = "r=$(cat /tmp/round); while [ \"$(cat /tmp/round)\" = \"$r\" ]; do usleep 5000; done";
            await guest.AskAsync($"echo 0 >/tmp/round; dd if=/dev/urandom of=/tmp/data bs=64k count=8 2>/dev/null; ({Work}) >/dev/null 2>&1 &");
            for (int i = 1; i <= 4; i++)
            {
                await guest.AskAsync(Progress);
                (await Host.RunAsync($"kill -9 $(cat {scratch.Path}/blk.pid)")).OrThrow();
                await disk.WaitForExitAsync(GuestVm.Patience);
                await disk.DisposeAsync();
                disk = await ServeDiskAsync(scratch, isOwn: true, "qcow2");
            }

            await guest.AskAsync(Progress);
            Assert.Equal("", await guest.AskAsync("touch /tmp/stop; while [ ! -e /tmp/done ]; do usleep 5000; done; cat /tmp/wrong"));
            Assert.Equal(4, (await guest.GetAsync("vm.counters")).GetProperty("_disk0").GetProperty("reconnects").GetInt32());
            await guest.PowerOffAsync();
            (await Host.RunAsync($"kill $(cat {scratch.Path}/blk.pid)")).OrThrow();
            await disk.WaitForExitAsync(GuestVm.Patience);
        }
        finally
        {
            await disk.DisposeAsync();
        }

        (await Host.RunAsync($"qemu-img check -q {scratch.Path}/disk")).OrThrow();
    }

    /// <summary>Two programs of others between which only the protocol is: QEMU's front end, and a Linux guest that QEMU emulates.</summary>
    [GuestFact]
    public async Task A_guest_of_QEMU_has_the_disk_too()
    {
        Skip.IfNot(Soak.IsOn, "CNVM_SOAK=1 asks for it");
        SkipWithout(Qemu);
        SkipWithout(OwnDiskBackend);
        await using var scratch = new ScratchDirectory(Host);
        await scratch.MakeFileAsync("disk", "8M");
        string images = Shell.Quote(Repository.Images);
        await using HostProcess disk = await ServeDiskAsync(scratch, isOwn: true);
        (await Host.RunAsync($"while [ ! -S {scratch.Path}/blk.sock ]; do sleep 0.1; done", GuestVm.Patience)).OrThrow();
        await using HostProcess qemu = await Host.StartAsync(
            $"exec {Qemu} -accel tcg -smp 2 -m 256 -object memory-backend-memfd,id=m,size=256M,share=on -machine q35,memory-backend=m -chardev socket,id=c,path={scratch.Path}/blk.sock,reconnect=1 -device vhost-user-blk-pci,chardev=c,num-queues=1 -kernel {images}/bzImage-small -initrd {images}/initramfs.cpio -append 'console=ttyS0 no_timer_check' -nographic -no-reboot -monitor none");
        await qemu.WaitForAsync(GuestVm.Ready, GuestVm.Patience);
        await qemu.WriteAsync("stty -echo; dmesg -n 1; dd if=/dev/urandom of=/dev/vda bs=64k oflag=direct 2>/dev/null; (while [ ! -e /tmp/stop ]; do dd if=/dev/vda of=/dev/null bs=4k iflag=direct 2>/dev/null || touch /tmp/failed; done; touch /tmp/done) & echo FIRST-$((1)).\n");
        await qemu.WaitForAsync("FIRST-1.", GuestVm.Patience);
        string digest = (await Host.RunAsync($"md5sum <{scratch.Path}/disk")).OrThrow().Output.Trim();
        (await Host.RunAsync($"kill -9 $(cat {scratch.Path}/blk.pid)")).OrThrow();
        await disk.WaitForExitAsync(GuestVm.Patience);
        await using HostProcess next = await ServeDiskAsync(scratch, isOwn: true);
        await qemu.WriteAsync($"touch /tmp/stop; while [ ! -e /tmp/done ]; do usleep 20000; done; echo 3 >/proc/sys/vm/drop_caches; [ ! -e /tmp/failed ] && md5sum </dev/vda; echo SECOND-$((2)).\n");
        await qemu.WaitForAsync(digest, GuestVm.Patience, unless: "SECOND-2.");
        await qemu.WriteAsync("poweroff -f\n");
        await qemu.WaitForExitAsync(GuestVm.Patience);
    }

    [GuestTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_folder_is_shared_by_its_back_end(bool isOwn)
    {
        SkipWithout(isOwn ? OwnFsBackend : FsBackend);
        Skip.IfNot(isOwn || Host.IsRoot, "virtiofsd has to be root");
        await using var scratch = new ScratchDirectory(Host);
        (await Host.RunAsync($"mkdir -p {scratch.Path}/share {scratch.Path}/snapshot && head -c 3M /dev/urandom >{scratch.Path}/share/from-host")).OrThrow();
        await using HostProcess folder = await ServeFolderAsync(scratch, isOwn);
        await using GuestVm guest = await GuestVm.BootAsync(Host, Shared with { Flags = $"--fs tag=work,socket={scratch.Path}/fs.sock" });
        await guest.PutAsync("vm.pause");
        await guest.PutAsync("vm.resume");
        await guest.AskAsync("mkdir /work && mount -t virtiofs work /work && dd if=/dev/urandom of=/work/from-guest bs=64k count=40 2>/dev/null && mkdir -p /work/a/b && mv /work/a /work/c");
        await guest.PutAsync("vm.pause");

        // The session is the back end's.
        Assert.Contains("FUSE session", await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{scratch.Path}}/snapshot"}""", 500), StringComparison.Ordinal);
        Assert.Empty((await Host.RunAsync($"ls {scratch.Path}/snapshot")).OrThrow().Output);
        await guest.PutAsync("vm.resume");
        const string Digests = "sha256sum from-guest from-host && ls -d c/b";
        Assert.Equal(await guest.AskAsync($"cd /work && {Digests}"), (await Host.RunAsync($"cd {scratch.Path}/share && {Digests}")).OrThrow().Output.Trim());
        Assert.Equal("2621440", (await Host.RunAsync($"stat -c %s {scratch.Path}/share/from-guest")).OrThrow().Output.Trim());
        await guest.AskAsync("cd / && umount /work");
        await guest.PowerOffAsync();
    }

    /// <summary>Killed in the middle of requests: all of them fail, with no other back end and with one, until the folder is mounted anew.</summary>
    [GuestFact]
    public async Task A_folder_whose_back_end_is_killed_fails_until_it_is_mounted_anew()
    {
        SkipWithout(OwnFsBackend);
        await using var scratch = new ScratchDirectory(Host);
        await GuestPrograms.AddToHostAsync(scratch, Host, "fscheck");
        (await Host.RunAsync($"mkdir -p {scratch.Path}/share && mv {scratch.Path}/fscheck {scratch.Path}/share/")).OrThrow();
        HostProcess folder = await ServeFolderAsync(scratch, isOwn: true);
        try
        {
            await using GuestVm guest = await GuestVm.BootAsync(Host, Shared with { Flags = $"--fs tag=work,socket={scratch.Path}/fs.sock" });
            await guest.AskAsync("mkdir /work && mount -t virtiofs work /work");
            Assert.Contains("errors=0", await guest.AskAsync("/work/fscheck all /work"), StringComparison.Ordinal);
            const string Work = "i=0; while [ ! -e /tmp/stop ]; do i=$((i + 1)); (echo $i >/work/$((i % 8)) && cat /work/$((i % 8)) && mv /work/$((i % 8)) /work/moved) >/dev/null 2>&1 && echo $i >/tmp/round; done; touch /tmp/done";
            for (int round = 1; round <= 2; round++)
            {
                await guest.AskAsync($"rm -f /tmp/stop /tmp/done /tmp/round; ({Work}) >/dev/null 2>&1 &");
                await guest.AskAsync("while [ ! -e /tmp/round ]; do usleep 5000; done");
                (await Host.RunAsync($"kill -9 $(cat {scratch.Path}/fs.pid)")).OrThrow();
                await folder.WaitForExitAsync(GuestVm.Patience);
                await guest.AskAsync("while ls /work >/dev/null 2>&1; do usleep 5000; done; touch /tmp/stop; while [ ! -e /tmp/done ]; do usleep 5000; done");
                Assert.Equal("not connected", await guest.AskAsync("(echo x >/work/late) 2>&1 | grep -o 'not connected'"));
                await using (HostProcess killed = folder)
                {
                    folder = await ServeFolderAsync(scratch, isOwn: true);
                }

                // The other one knows nothing of the session before it.
                await guest.AskAsync("i=0; umount /work; until mount -t virtiofs work /work && [ -x /work/fscheck ]; do umount /work; i=$((i + 1)); [ $i -lt 200 ] || exit 1; usleep 100000; done");
                await guest.AskAsync($"echo {round} >/work/round && sync");
                Assert.Equal($"{round}", (await Host.RunAsync($"ls {scratch.Path}/share/late 2>/dev/null; cat {scratch.Path}/share/round")).OrThrow().Output.Trim());
            }

            Assert.Equal(2, (await guest.GetAsync("vm.counters")).GetProperty("_fs0").GetProperty("reconnects").GetInt32());
            await guest.AskAsync("umount /work");
            await guest.PowerOffAsync();

            // Its front end has gone, and the next one would be served; a signal ends it in order.
            (await Host.RunAsync($"kill $(cat {scratch.Path}/fs.pid)")).OrThrow();
            Assert.Equal(0, await folder.WaitForExitAsync(GuestVm.Patience));
        }
        finally
        {
            await folder.DisposeAsync();
        }
    }

    /// <summary>A Linux guest that QEMU emulates, and QEMU's front end, one after another on the same back end.</summary>
    [GuestFact]
    public async Task Guests_of_QEMU_have_the_folder_too()
    {
        Skip.IfNot(Soak.IsOn, "CNVM_SOAK=1 asks for it");
        SkipWithout(Qemu);
        SkipWithout(OwnFsBackend);
        await using var scratch = new ScratchDirectory(Host);
        await GuestPrograms.AddToHostAsync(scratch, Host, "fscheck");
        (await Host.RunAsync($"mkdir -p {scratch.Path}/share && mv {scratch.Path}/fscheck {scratch.Path}/share/")).OrThrow();
        string images = Shell.Quote(Repository.Images);
        await using HostProcess folder = await ServeFolderAsync(scratch, isOwn: true);
        (await Host.RunAsync($"while [ ! -S {scratch.Path}/fs.sock ]; do sleep 0.1; done", GuestVm.Patience)).OrThrow();
        for (int i = 0; i < 2; i++)
        {
            await using HostProcess qemu = await Host.StartAsync(
                $"exec {Qemu} -accel tcg -smp 2 -m 256 -object memory-backend-memfd,id=m,size=256M,share=on -machine q35,memory-backend=m -chardev socket,id=c,path={scratch.Path}/fs.sock -device vhost-user-fs-pci,chardev=c,tag=work -kernel {images}/bzImage-small -initrd {images}/initramfs.cpio -append 'console=ttyS0 no_timer_check' -nographic -no-reboot -monitor none 2>{scratch.Path}/qemu.err");
            await qemu.WaitForAsync(GuestVm.Ready, GuestVm.Patience);
            await qemu.WriteAsync($"stty -echo; dmesg -n 1; mkdir /work; mount -t virtiofs work /work && /work/fscheck all /work && dd if=/dev/urandom of=/work/data bs=64k count=64 2>/dev/null && mv /work/data /work/data{i} && sha256sum /work/data{i}; echo FIRST-$((1)).\n");
            await qemu.WaitForAsync("FIRST-1.", GuestVm.Patience);
            string digest = (await Host.RunAsync($"sha256sum <{scratch.Path}/share/data{i} | cut -d' ' -f1")).OrThrow().Output.Trim();
            await qemu.WriteAsync($"echo 3 >/proc/sys/vm/drop_caches; sha256sum </work/data{i}; echo SECOND-$((2)).\n");
            await qemu.WaitForAsync(digest, GuestVm.Patience, unless: "SECOND-2.");
            await qemu.WriteAsync("poweroff -f\n");
            await qemu.WaitForExitAsync(GuestVm.Patience);
            Assert.Equal("", (await Host.RunAsync($"cat {scratch.Path}/qemu.err")).Output);
        }
    }

    private static void SkipWithout(string program) =>
        Skip.IfNot(File.Exists(program), $"there is no {program} here: 'make deps build' installs and makes it");

    private Task<HostProcess> ServeDiskAsync(ScratchDirectory scratch, bool isOwn, string imageType = "raw") => Host.StartAsync(isOwn
        ? $"echo $$ >{scratch.Path}/blk.pid; exec {OwnDiskBackend} --block-backend path={scratch.Path}/disk,image_type={imageType},socket={scratch.Path}/blk.sock"
        : $"rm -f {scratch.Path}/blk.sock; exec {DiskBackend} --pidfile {scratch.Path}/blk.pid --blockdev file,node-name=file,filename={scratch.Path}/disk --blockdev raw,node-name=disk,file=file --export vhost-user-blk,id=export,addr.type=unix,addr.path={scratch.Path}/blk.sock,node-name=disk,writable=on");

    private Task<HostProcess> ServeFolderAsync(ScratchDirectory scratch, bool isOwn) => Host.StartAsync(isOwn
        ? $"echo $$ >{scratch.Path}/fs.pid; exec {OwnFsBackend} --shared-dir {scratch.Path}/share --socket-path {scratch.Path}/fs.sock"
        : $"exec {FsBackend} --socket-path={scratch.Path}/fs.sock -o source={scratch.Path}/share -o sandbox=chroot -f");
}
