using System.Globalization;
using System.Text.RegularExpressions;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests;

/// <summary>Guests mount a folder of the host and work there: with a program that checks every operation, and with what both sides see.</summary>
public abstract partial class FsTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private const int SoakOperations = 100_000;

    /// <summary>Random operations on a file.</summary>
    protected abstract int Operations { get; }

    /// <summary>vCPUs of the guest whose open files go on.</summary>
    protected abstract int Processors { get; }

    /// <summary>MiB that go each way.</summary>
    protected abstract int Megabytes { get; }

    /// <summary>Whether locks are looked at; null, or why not.</summary>
    protected virtual string? WhyNoLocks => null;

    [GuestFact]
    public async Task A_folder_is_shared_and_open_files_go_on_after_a_restore()
    {
        await using var scratch = new ScratchDirectory(Host);
        string share = scratch.Path + "/share";
        string folder = scratch.Path + "/snapshot";
        string mapped = scratch.Path + "/mapped";
        await GuestPrograms.AddToHostAsync(scratch, Host, "fscheck");
        (await Host.RunAsync($"mkdir -p {share} {folder} {mapped} && mv {scratch.Path}/fscheck {share}/")).OrThrow();
        string folders = $"--fs tag=shared,path={share},num_queues={Processors}";
        folders += Host.IsRoot ? $" tag=mapped,path={mapped},uid_map=[0:100000:1000],gid_map=[0:200000:1000]" : "";
        GuestSetup setup = GuestSetup.Small with { Cpus = Processors, Pulses = false, Flags = $"-v {folders}" };
        await using (GuestVm guest = await GuestVm.BootAsync(Host, setup))
        {
            await guest.AskAsync("mkdir /shared && mount -t virtiofs shared /shared");
            await CheckAsync(guest, "all /shared");
            await CheckAsync(guest, $"ops /shared 1 {(Soak.IsOn ? SoakOperations : Operations)}");
            await SameBytesAsync(guest, share);
            await AssertCountersAsync(guest);
            if (Host.IsRoot)
            {
                await guest.AskAsync("mkdir /mapped && mount -t virtiofs mapped /mapped");
                await AssertOwnersAsync(guest, mapped, "before");
            }

            await guest.AskAsync("(/shared/fscheck hold /shared/held /shared/stop >/tmp/held 2>&1 &) ; while ! grep -q held /tmp/held; do usleep 50000; done");
            await guest.AskAsync("cd /shared && mkdir -p deep/er && echo below >deep/er/file");
            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"}""");
            await guest.PutAsync("vm.resume");
            await guest.AskAsync("usleep 200000; ! grep -q ERROR /tmp/held");
        }

        await using (GuestVm guest = await GuestVm.RestoreAsync(Host, folder))
        {
            Assert.Equal("below", await guest.AskAsync("usleep 200000; cat /shared/deep/er/file"));
            await guest.AskAsync("touch /shared/stop; while ! grep -q errors= /tmp/held; do usleep 50000; done");
            Assert.Matches(End(), await guest.AskAsync("cat /tmp/held"));
            await guest.PulseAsync();
            await CheckAsync(guest, "all /shared");
            if (Host.IsRoot)
            {
                await AssertOwnersAsync(guest, mapped, "after");
            }

            await guest.AskAsync("umount /shared");
            await guest.PowerOffAsync();
        }
    }

    [GuestFact]
    public async Task Cache_modes_and_a_read_only_folder_are_what_they_say()
    {
        await using var scratch = new ScratchDirectory(Host);
        string program = await GuestPrograms.AddToHostAsync(scratch, Host, "fscheck");
        (await Host.RunAsync($"cd {scratch.Path} && mkdir always none fixed && cp {program} fixed/ && echo kept >fixed/file")).OrThrow();
        string Fs(string name, string keys) => $"tag={name},path={scratch.Path}/{name}{keys}";
        string flags = $"--fs {Fs("always", ",cache=always")} {Fs("none", ",cache=none")} {Fs("fixed", ",readonly=on")}";
        await using GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Pulses = false, Flags = flags });
        await guest.AskAsync("for i in always none fixed; do mkdir /$i && mount -t virtiofs $i /$i || exit 1; done; cp /fixed/fscheck /run/");
        await CheckAsync(guest, $"ops /always 2 {Operations}", "/run");
        await CheckAsync(guest, "all /always", "/run");

        // Without a cache: what the host does is seen at once, what the guest writes is there at once.
        (await Host.RunAsync($"echo one >{scratch.Path}/none/file")).OrThrow();
        Assert.Equal("one", await guest.AskAsync("cat /none/file"));
        (await Host.RunAsync($"echo other >{scratch.Path}/none/file")).OrThrow();
        Assert.Equal("other", await guest.AskAsync("cat /none/file"));
        await guest.AskAsync("echo three >/none/file");
        Assert.Equal("three", (await Host.RunAsync($"cat {scratch.Path}/none/file")).OrThrow().Output.Trim());

        Assert.Equal("kept", await guest.AskAsync("cat /fixed/file"));
        foreach (string change in (string[])["echo x >/fixed/file", "touch /fixed/new", "rm /fixed/file", "mkdir /fixed/d", "mv /fixed/file /fixed/f", "chmod 600 /fixed/file"])
        {
            Assert.Contains("Read-only file system", (await guest.RunAsync(change)).Output, StringComparison.Ordinal);
        }

        await guest.PowerOffAsync();
    }

    /// <summary>
    /// Programs of the guest and of the host exclude each other and wait for each other, also in a guest that was restored and one that has moved.
    /// </summary>
    [GuestFact]
    public async Task Locks_are_shared_with_the_host_and_go_along()
    {
        Skip.If(WhyNoLocks is not null, WhyNoLocks);
        await using var scratch = new ScratchDirectory(Host);
        string share = scratch.Path + "/share";
        string snapshot = scratch.Path + "/snapshot";
        string program = await GuestPrograms.AddToHostAsync(scratch, Host, "fscheck");
        (await Host.RunAsync($"mkdir {share} {snapshot} && cp {program} {share}/")).OrThrow();
        async Task<string> OnHost(string command) => (await Host.RunAsync(command)).OrThrow().Output.Trim();
        Task<string> HostTries(string kind, string file) => OnHost($"{program} try {kind} {share}/{file}");
        Task<string> HostLocks(string kind, string file) => OnHost($"{program} lock {kind} {share}/{file} {scratch.Path}/stop-{file} </dev/null >{scratch.Path}/{file}.{kind} 2>&1 &");
        Task<string> HostHas(string kind, string file) => OnHost($"for i in $(seq 600); do grep -q ^locked {scratch.Path}/{file}.{kind} && exit 0; sleep 0.05; done; exit 1");
        Task<string> HostStops(string file) => OnHost($"touch {scratch.Path}/stop-{file}");
        await using (GuestVm guest = await GuestVm.BootAsync(Host, GuestSetup.Small with { Cpus = 2, Pulses = false, Flags = $"-v --fs tag=shared,path={share},locks=on" }))
        {
            Task<string> Locks(string kind, string file) => guest.AskAsync($"(/shared/fscheck lock {kind} /shared/{file} /tmp/stop-{file} >/tmp/{file}.{kind} 2>&1 &)");
            Task<string> Has(string kind, string file) => guest.AskAsync($"while ! grep -q ^locked /tmp/{file}.{kind}; do usleep 50000; done");
            await guest.AskAsync("mkdir /shared && mount -t virtiofs shared /shared");
            foreach (string kind in (string[])["posix", "flock"])
            {
                // Whoever is second waits, while the guest goes on, and has the lock once it is free.
                await HostLocks(kind, $"first-{kind}");
                await HostHas(kind, $"first-{kind}");
                await Locks(kind, $"first-{kind}");
                Assert.Equal("held", await guest.AskAsync($"usleep 200000; /shared/fscheck try {kind} /shared/first-{kind}; cat /tmp/first-{kind}.{kind}"));
                await HostStops($"first-{kind}");
                await Has(kind, $"first-{kind}");
                Assert.Equal("held", await HostTries(kind, $"first-{kind}"));
                await Locks(kind, "kept");
                await Has(kind, "kept");
            }

            await HostLocks("posix", "later");
            await HostHas("posix", "later");
            await Locks("posix", "later");
            await guest.AskAsync("usleep 200000");
            await guest.PutAsync("vm.pause");
            await guest.PutAsync("vm.snapshot", $$"""{"destination_url":"file://{{snapshot}}"}""");
        }

        // Somebody has taken what the guest had: it does not go on before that is free.
        Assert.Equal("free free", $"{await HostTries("posix", "kept")} {await HostTries("flock", "kept")}");
        await HostLocks("flock", "kept");
        await HostHas("flock", "kept");
        await using GuestVm restored = await GuestVm.StartAsync(Host);
        string request = $$"""{"source_url":"file://{{snapshot}}","resume":true}""";
        string refusal = await restored.PutAsync("vm.restore", request, status: 500);
        output.WriteLine(refusal);
        Assert.Matches($"{share}/kept is locked by process [0-9]+", refusal);
        await HostStops("kept");
        await OnHost($"while [ $({program} try flock {share}/kept) = held ]; do sleep 0.05; done");
        await restored.PutAsync("vm.restore", request);
        Assert.Equal("held held", $"{await HostTries("posix", "kept")} {await HostTries("flock", "kept")}");
        Assert.Equal("", await restored.AskAsync("cat /tmp/later.posix"));

        // It moves, and still waits there.
        await using GuestVm moved = await GuestVm.StartAsync(Host);
        Task<string> receiving = moved.PutAsync("vm.receive-migration", $$"""{"receiver_url":"unix:{{scratch.Path}}/move"}""");
        await moved.WaitForEventAsync("vm", "migration-receive-ready");
        await restored.PutAsync("vm.send-migration", $$"""{"destination_url":"unix:{{scratch.Path}}/move"}""");
        await receiving;
        await restored.AssertEndAsync(othersRun: true);
        Assert.Equal("held held", $"{await HostTries("posix", "kept")} {await HostTries("flock", "kept")}");
        await HostStops("later");
        await moved.AskAsync("while ! grep -q ^locked /tmp/later.posix; do usleep 50000; done");
        Assert.Equal("held", await HostTries("posix", "later"));
        await moved.AskAsync("touch /tmp/stop-kept /tmp/stop-later /tmp/stop-first-posix /tmp/stop-first-flock; cd /shared; "
            + "for i in posix:kept flock:kept posix:later posix:first-posix flock:first-flock; do while [ $(./fscheck try ${i%:*} ${i#*:}) = held ]; do usleep 50000; done; done");
        Assert.Equal("free free free", $"{await HostTries("posix", "kept")} {await HostTries("flock", "kept")} {await HostTries("posix", "later")}");
        await moved.AskAsync("umount /shared");
        await moved.PowerOffAsync();
    }

    /// <summary>The guest's users have other numbers on the host, and the host's are nobody for the guest.</summary>
    private async Task AssertOwnersAsync(GuestVm guest, string mapped, string name)
    {
        (await Host.RunAsync($"mkdir {mapped}/{name} && chmod 777 {mapped}/{name} && echo host >{mapped}/{name}/host")).OrThrow();
        const string Owners = "echo $(stat -c %u:%g mine given host)";
        Assert.Equal("0:0 5:6 65534:65534", await guest.AskAsync($"cd /mapped/{name} && echo mine >mine && echo given >given && chown 5:6 given && {Owners}"));
        string onHost = (await Host.RunAsync($"cd {mapped}/{name} && {Owners}")).OrThrow().Output.Trim();
        Assert.Equal("100000:200000 100005:200006 0:0", onHost);
    }

    /// <summary>Random bytes made on one side have the same digest on the other.</summary>
    private async Task SameBytesAsync(GuestVm guest, string share)
    {
        await guest.AskAsync($"dd if=/dev/urandom of=/shared/from-guest bs=1M count={Megabytes} 2>/dev/null && sync");
        (await Host.RunAsync($"dd if=/dev/urandom of={share}/from-host bs=1M count={Megabytes} 2>/dev/null")).OrThrow();
        const string Digests = "sha256sum from-guest from-host";
        string here = (await Host.RunAsync($"cd {share} && {Digests}")).OrThrow().Output.Trim();
        Assert.Equal(here, await guest.AskAsync($"cd /shared && {Digests}"));
        string size = (Megabytes << 20).ToString(CultureInfo.InvariantCulture);
        Assert.Equal(size, (await Host.RunAsync($"stat -c %s {share}/from-guest && rm {share}/from-*")).OrThrow().Output.Trim());
    }

    private async Task CheckAsync(GuestVm guest, string arguments, string place = "/shared")
    {
        string end = (await guest.RunAsync($"{place}/fscheck {arguments}")).Output;
        output.WriteLine($"{arguments}: {end.Trim()}");
        Assert.True(End().IsMatch(end), $"{arguments}: {end}\n{await guest.AskAsync("dmesg | tail -n 5")}\n{await guest.ErrorsAsync()}");
    }

    private async Task AssertCountersAsync(GuestVm guest)
    {
        var counters = (await guest.GetAsync("vm.counters")).GetProperty("_fs0");
        output.WriteLine(counters.ToString());
        Assert.True(counters.GetProperty("requests").GetInt64() > 1000);
        Assert.InRange(counters.GetProperty("read_bytes").GetInt64(), Megabytes << 20, long.MaxValue);
        Assert.InRange(counters.GetProperty("write_bytes").GetInt64(), Megabytes << 20, long.MaxValue);
    }

    [GeneratedRegex(@"fscheck: checks=\d+ errors=0\b")]
    private static partial Regex End();
}
