using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Cnvm.Architecture.Tests;

/// <summary>The rooms of ARCHITECTURE.md: a room refers only to those listed here for it.</summary>
public sealed class RoomTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Cnvm.Arch"] = [],
        ["Cnvm.Linux"] = [],
        ["Cnvm.Hypervisor"] = ["Cnvm.Arch", "Cnvm.Linux"],
        ["Cnvm.Hypervisor.Kvm"] = ["Cnvm.Arch", "Cnvm.Linux", "Cnvm.Hypervisor"],
        ["Cnvm.Hypervisor.Soft"] = ["Cnvm.Arch", "Cnvm.Linux", "Cnvm.Hypervisor"],
        ["Cnvm.Devices"] = ["Cnvm.Arch"],
        ["Cnvm.Virtio"] = ["Cnvm.Arch", "Cnvm.Linux", "Cnvm.Hypervisor", "Cnvm.Devices"],
        ["Cnvm.Vmm"] = ["Cnvm.Arch", "Cnvm.Linux", "Cnvm.Hypervisor", "Cnvm.Devices", "Cnvm.Virtio"],
        ["Cnvm.Ttrpc.Generator"] = [],
        ["Cnvm.Ttrpc"] = ["Cnvm.Ttrpc.Generator"],
        ["Cnvm.Agent.Protocol"] = ["Cnvm.Ttrpc", "Cnvm.Ttrpc.Generator"],
        ["Cnvm.Api"] = ["Cnvm.Linux", "Cnvm.Vmm"],
        ["Cnvm.Sandbox"] = ["Cnvm.Linux", "Cnvm.Ttrpc", "Cnvm.Agent.Protocol"],
        ["cnvm"] = ["Cnvm.Linux", "Cnvm.Vmm", "Cnvm.Api", "Cnvm.CommandLine", "Cnvm.Sandbox"],
        ["containerd-shim-cnvm-v2"] = ["Cnvm.Linux", "Cnvm.CommandLine", "Cnvm.Sandbox", "Cnvm.Agent.Protocol", "Cnvm.Ttrpc", "Cnvm.Ttrpc.Generator"],
        ["Cnvm.CommandLine"] = ["Cnvm.Vmm"],
        ["cnvm-vhost-user-blk"] = ["Cnvm.Linux", "Cnvm.Virtio", "Cnvm.Vmm", "Cnvm.CommandLine"],
        ["cnvm-vhost-user-fs"] = ["Cnvm.Linux", "Cnvm.Virtio", "Cnvm.Vmm", "Cnvm.CommandLine"],
        ["cnvm-agent"] = ["Cnvm.Linux", "Cnvm.Ttrpc", "Cnvm.Agent.Protocol"],
        ["cnvm-vmm"] = ["Cnvm.Arch", "Cnvm.Linux", "Cnvm.Hypervisor", "Cnvm.Hypervisor.Kvm", "Cnvm.Hypervisor.Soft", "Cnvm.Devices", "Cnvm.Virtio", "Cnvm.Vmm", "Cnvm.Api", "Cnvm.CommandLine"],
    };

    public static TheoryData<string> Products() =>
        new(Repository.Projects().Where(p => !p.StartsWith("tests/") && !p.StartsWith("bench/")));

    [Theory]
    [MemberData(nameof(Products))]
    public void References_follow_the_arrows(string project)
    {
        string name = Path.GetFileNameWithoutExtension(project);
        Assert.True(Allowed.TryGetValue(name, out string[]? allowed), $"{project} is a room that ARCHITECTURE.md and this test do not know");
        IEnumerable<string> references = XDocument.Load(Path.Combine(Repository.Root, project))
            .Descendants("ProjectReference")
            .Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value));
        Repository.AssertNone(references.Except(allowed!));
    }

    [Fact]
    public void Every_room_exists() =>
        Repository.AssertNone(Allowed.Keys.Except(Repository.Projects().Select(p => Path.GetFileNameWithoutExtension(p))));

    [Fact]
    public void Top_level_is_as_agreed()
    {
        string[] agreed = ["vmm", "devices", "virtio", "arch", "api", "tests", "bench", "guest-images", "out"];
        IEnumerable<string> folders = Directory.EnumerateDirectories(Repository.Root).Select(d => Path.GetFileName(d)!).Where(d => !d.StartsWith('.'));
        Repository.AssertNone(folders.Except(agreed));
    }

    /// <summary>Only the backend itself and the program that chooses one may name it.</summary>
    [Fact]
    public void Nothing_above_the_backends_names_one()
    {
        var named = new Regex(@"\bCnvm\.Hypervisor\.(Kvm|Soft)\b");
        string[] choosers = ["vmm/Cnvm.Hypervisor.Kvm/", "vmm/Cnvm.Hypervisor.Soft/", "vmm/cnvm-vmm/", "tests/", "bench/"];
        Repository.AssertNone(Repository.Sources()
            .Where(f => !choosers.Any(c => f.StartsWith(c, StringComparison.Ordinal)))
            .Where(f => named.IsMatch(File.ReadAllText(Path.Combine(Repository.Root, f)))));
    }
}
