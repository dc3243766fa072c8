using Cnvm.Sandbox.Machine;
using Cnvm.Sandbox.Networks;
using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Networks;

/// <summary>A guest that comes from another host, and the network namespace that is its own here.</summary>
public sealed class ArrivingTests : IDisposable
{
    private const string AddTap = "tuntap add dev cnvmpod0 mode tap";
    private const int PatienceMilliseconds = 30_000;
    private static readonly string[] Veth = ["link add eth0 mtu 1400 type veth peer name peer", "link set eth0 up"];
    private static readonly ArrivingTap[] Taps = [new("cnvmpod0", 1400, "")];
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-arriving").FullName;

    private SandboxFolder Folder => SandboxFolder.Of(_folder);

    public void Dispose()
    {
        if (Directory.Exists(_folder))
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    [SkippableFact]
    public void It_is_joined_whenever_its_vmm_makes_its_interfaces_and_stays_so()
    {
        using var pod = new PodNamespace(Veth);
        using (ArrivingNetwork network = ArrivingNetwork.Start(pod.File, Folder, Taps))
        {
            // The VMM tries whether it can, and lets go.
            for (int i = 0; i < 3; i++)
            {
                pod.Ip(AddTap);
                Await(pod, "cnvmpod0", "eth0");
                pod.Ip("tuntap delete dev cnvmpod0 mode tap");
                Await(pod);
            }

            pod.Ip(AddTap);
            network.Keep();
        }

        Assert.Equal(["cnvmpod0", "eth0"], pod.Redirected.Order());
        Assert.Contains("Redirect to device eth0", pod.Tc("filter show dev cnvmpod0 ingress"), StringComparison.Ordinal);
        Assert.Contains("Redirect to device cnvmpod0", pod.Tc("filter show dev eth0 ingress"), StringComparison.Ordinal);
        Assert.Contains("mtu 1400", pod.Ip("link show cnvmpod0"), StringComparison.Ordinal);
        SandboxVm.CleanUp(_folder);
        Assert.DoesNotContain("eth0", pod.Redirected);
    }

    [SkippableFact]
    public void What_does_not_fit_is_refused_and_nothing_is_made()
    {
        using var pod = new PodNamespace(Veth);
        (string Path, ArrivingTap[] Taps, string Says)[] wrong =
        [
            ("/run/netns/no-such-namespace", Taps, "there is no network namespace /run/netns/no-such-namespace"),
            ("/proc/self/ns/net", Taps, "is the one that cnvm itself is in"),
            (pod.File, [.. Taps, new("cnvmpod1", 0, "")], "the guest has 2 network interfaces, and"),
            (pod.File, [new("cnvmpod0", 1500, "")], "interface eth0 has an MTU of 1400, and the guest's sends packets of up to 1500 bytes"),
        ];
        foreach ((string path, ArrivingTap[] taps, string says) in wrong)
        {
            SandboxException refused = Assert.Throws<SandboxException>(() => ArrivingNetwork.Start(path, Folder, taps));
            Assert.Contains(says, refused.Message, StringComparison.Ordinal);
            Assert.Empty(pod.Redirected);
        }

        pod.Tc("qdisc add dev eth0 ingress");
        SandboxException taken = Assert.Throws<SandboxException>(() => ArrivingNetwork.Start(pod.File, Folder, Taps));
        Assert.Contains("tc qdisc delete dev eth0 ingress", taken.Message, StringComparison.Ordinal);
        Assert.Equal("eth0", Assert.Single(pod.Redirected));
    }

    [SkippableFact]
    public void One_that_is_given_up_leaves_nothing_and_a_folder_is_one_sandboxs()
    {
        using var pod = new PodNamespace(Veth);
        using var other = new PodNamespace(Veth);
        using (ArrivingNetwork network = ArrivingNetwork.Start(pod.File, Folder, Taps))
        {
            pod.Ip(AddTap);
            Await(pod, "cnvmpod0", "eth0");
            SandboxException refused = Assert.Throws<SandboxException>(() => ArrivingNetwork.Start(other.File, Folder, Taps));
            Assert.Contains($"in network namespace {pod.File}", refused.Message, StringComparison.Ordinal);
            Assert.Empty(other.Redirected);
        }

        Assert.Equal("cnvmpod0", Assert.Single(pod.Redirected));
        Assert.Empty(Directory.GetFiles(_folder));

        // A VMM that never makes its interfaces is said.
        using ArrivingNetwork missing = ArrivingNetwork.Start(other.File, Folder, Taps);
        SandboxException nobody = Assert.Throws<SandboxException>(missing.Keep);
        Assert.Contains($"not in network namespace {other.File}", nobody.Message, StringComparison.Ordinal);
    }

    private static void Await(PodNamespace pod, params string[] redirected)
    {
        for (long end = Environment.TickCount64 + PatienceMilliseconds; !pod.Redirected.Order().SequenceEqual(redirected);)
        {
            Assert.True(Environment.TickCount64 < end, $"redirected are: {string.Join(' ', pod.Redirected)}");
        }
    }
}
