using System.Text;
using System.Text.Json;
using Cnvm.Fuzz;
using Cnvm.Shim.Config;
using Cnvm.Shim.Tasks;

namespace Cnvm.Shim.Tests;

/// <summary>What is read from configurations: the runtime's, and a container's.</summary>
public sealed class ConfigurationTests
{
    [Fact]
    public void Everything_that_the_runtimes_file_may_say_is_read()
    {
        ShimConfig config = ShimConfig.Parse("f", """
            # A comment
            [sandbox]
            vmm = "/opt/cnvm-vmm"
            kernel = '/k'
            initramfs = "/i"
            command_line = "quiet \"x\""
            cpus = 2
            memory = "1G"
            templates = "/t"
            """);
        Assert.Equal(
            new ShimConfig { Vmm = "/opt/cnvm-vmm", Kernel = "/k", Initramfs = "/i", CommandLine = "quiet \"x\"", Cpus = 2, Memory = 1UL << 30, Templates = "/t" }, config);
        Assert.Equal(new ShimConfig(), ShimConfig.Parse("f", ""));
        Assert.Equal(new ShimConfig(), ShimConfig.Parse("f", "[sandbox]\n"));
    }

    [Theory]
    [InlineData("[sandbox]\nnothing = 1", "f, line 2: key 'nothing'")]
    [InlineData("[sandbox]\ncpus = 1\ncpus = 2", "line 3")]
    [InlineData("[sandbox]\ncpus = 0", "1 to 255")]
    [InlineData("[sandbox]\ncpus = \"2\"", "1 to 255")]
    [InlineData("[sandbox]\nmemory = 512", "text in quotes")]
    [InlineData("[sandbox]\nmemory = \"63M\"", "64M")]
    [InlineData("[sandbox]\nmemory = \"99999999999999999999G\"", "64M")]
    [InlineData("[sandbox]\nmemory = \"\"", "64M")]
    [InlineData("[sandbox]\nkernel = \"k\"", "absolute")]
    [InlineData("[sandbox]\ntemplates = \"t\"", "absolute")]
    [InlineData("[sandbox]\nkernel = [\"/k\"]", "text in quotes")]
    [InlineData("[sandbox]\nkernel = { a = 1 }", "kernel")]
    [InlineData("[other]\na = 1", "[sandbox]")]
    [InlineData("cpus = 1", "[sandbox]")]
    [InlineData("[sandbox", "f: ")]
    [InlineData("sandbox = 1", "[sandbox]")]
    public void What_the_runtimes_file_says_wrong_is_named(string text, string expected) =>
        Assert.Contains(expected, Assert.Throws<ShimException>(() => ShimConfig.Parse("f", text)).Message, StringComparison.Ordinal);

    [Fact]
    public void The_runtimes_file_is_refused_by_name_or_read()
    {
        const string Good = "# A comment\n[sandbox]\nvmm = \"/v\"\nkernel = '/k'\ncommand_line = \"quiet \\\"x\\\"\"\ncpus = 2\nmemory = \"1G\"\n";
        const string Letters = "[]{}=\"'#\n.,\\\0 a1_-\u00e9\ud800";
        int refused = 0;
        int runs = SeededRuns.Repeat(1000, seed =>
        {
            var random = new Random(seed);
            var text = new StringBuilder(Good);
            for (int n = random.Next(1, 5); n > 0; n--)
            {
                int at = random.Next(text.Length);
                _ = random.Next(3) switch
                {
                    0 => text.Remove(at, Math.Min(random.Next(1, 6), text.Length - at)),
                    1 => text.Insert(at, Letters[random.Next(Letters.Length)]),
                    _ => text.Replace(text[at], Letters[random.Next(Letters.Length)], at, 1),
                };
            }

            try
            {
                ShimConfig.Parse("f", text.ToString());
            }
            catch (ShimException e)
            {
                Assert.StartsWith("f", e.Message, StringComparison.Ordinal);
                refused++;
            }
        });
        Assert.InRange(refused, runs / 10, runs - 1);
    }

    [Fact]
    public void A_containers_configuration_is_refused_or_read()
    {
        byte[] good = """
            {"hostname":"h","root":{"path":"/r"},"process":{"oomScoreAdj":500},"annotations":{"io.kubernetes.cri.container-type":"container",
            "io.kubernetes.cri.sandbox-id":"p","io.kubernetes.cri.sandbox-memory":"1","io.kubernetes.cri.sandbox-cpu-quota":"2"},"linux":{"cgroupsPath":"/a","namespaces":[{"type":"network","path":"/n"}],
            "resources":{"memory":{"limit":1048576},"cpu":{"quota":150000,"period":100000}}}}
            """u8.ToArray();
        int refused = 0;
        int runs = SeededRuns.Repeat(1000, seed =>
        {
            try
            {
                Bundle.Parse(DamagedJson.Make(good, new Random(seed)));
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, runs / 10, runs - 1);
    }

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Contains("/nothing/here", Assert.Throws<ShimException>(() => ShimConfig.Load("/nothing/here")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_containers_configuration_says_where_its_machine_belongs()
    {
        Bundle bundle = Parse("""
            { "hostname": "h", "root": { "path": "/r" }, "process": { "oomScoreAdj": 500 },
              "linux": { "cgroupsPath": "/a/b", "namespaces": [ { "type": "mount" }, { "type": "network", "path": "/run/netns/n" } ],
                         "resources": { "memory": { "limit": 1048576 }, "cpu": { "quota": 150000, "period": 100000 } } } }
            """);
        Assert.Equal(
            ("h", "/r", "/a/b", "/run/netns/n", 1048576ul, 2, 500),
            (bundle.HostName, bundle.RootPath, bundle.CgroupsPath, bundle.NetworkNamespace, bundle.MemoryLimit, bundle.Cpus, bundle.OutOfMemoryScore));
        Assert.Null(bundle.PodId);

        Bundle bare = Parse("{}");
        Assert.Equal((null, null, 0ul, 0, null, ""), (bare.PodId, bare.NetworkNamespace, bare.MemoryLimit, bare.Cpus, bare.OutOfMemoryScore, bare.CgroupsPath));
        Assert.Equal((0ul, 0), Parse("""{"linux":{"resources":{"memory":{"limit":-1},"cpu":{"quota":-1,"period":100000}}}}""") is var free ? (free.MemoryLimit, free.Cpus) : default);
    }

    [Theory]
    [InlineData("io.kubernetes.cri.container-type", "container", "io.kubernetes.cri.sandbox-id", "p", "p")]
    [InlineData("io.kubernetes.cri.container-type", "sandbox", "io.kubernetes.cri.sandbox-id", "p", null)]
    [InlineData("io.kubernetes.cri-o.ContainerType", "container", "io.kubernetes.cri-o.SandboxID", "q", "q")]
    public void Annotations_say_which_pod_a_container_joins(string typeKey, string type, string idKey, string id, string? pod) =>
        Assert.Equal(pod, Parse($$$"""{"annotations":{"{{{typeKey}}}":"{{{type}}}","{{{idKey}}}":"{{{id}}}"}}""").PodId);

    [Fact]
    public void A_pods_size_is_what_its_annotations_say()
    {
        Bundle bundle = Parse("""
            {"annotations":{"io.kubernetes.cri.sandbox-memory":"2097152","io.kubernetes.cri.sandbox-cpu-quota":"300000","io.kubernetes.cri.sandbox-cpu-period":"100000"},
             "linux":{"resources":{"memory":{"limit":1}}}}
            """);
        Assert.Equal((2097152ul, 3), (bundle.MemoryLimit, bundle.Cpus));
    }

    [Theory]
    [InlineData("nothing")]
    [InlineData("""{"annotations":{"io.kubernetes.cri.container-type":"container"}}""")]
    [InlineData("""{"annotations":{"io.kubernetes.cri.sandbox-memory":"much"}}""")]
    [InlineData("""{"linux":{"cgroupsPath":1}}""")]
    [InlineData("""{"linux":{"resources":{"memory":{"limit":"x"}}}}""")]
    public void Broken_configurations_are_refused(string spec)
    {
        string directory = Directory.CreateTempSubdirectory("cnvm-shim-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(directory, "config.json"), spec);
            Assert.Contains("config.json", Assert.Throws<ShimException>(() => Bundle.Load(directory)).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(directory, true);
        }
    }

    [Theory]
    [InlineData("/default/c1", "default/c1")]
    [InlineData("default/c1", "default/c1")]
    [InlineData("", "")]
    [InlineData("/", "")]
    [InlineData("../../etc", "etc")]
    [InlineData("kubepods-burstable-pod1.slice:cri-containerd:abc", "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-abc.scope")]
    public void Control_groups_are_where_runc_would_put_them(string path, string expected) => Assert.Equal(expected, HostCgroup.Relative(path));

    private static Bundle Parse(string json) => Bundle.Parse(Encoding.UTF8.GetBytes(JsonDocument.Parse(json).RootElement.GetRawText()));
}
