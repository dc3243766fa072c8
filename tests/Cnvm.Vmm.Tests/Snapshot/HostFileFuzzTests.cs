using System.Text;
using Cnvm.Fuzz;
using Cnvm.Hypervisor.Soft;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>Files beside a machine's configuration that somebody else may have written: refused by name, or read.</summary>
public sealed class HostFileFuzzTests : IDisposable
{
    private static readonly byte[] Profile = """
        {
          "name": "p", "base": "x86-64-v2", "tsc_khz": 2000000,
          "cpuid_modifiers": [{ "leaf": "0x1", "subleaf": "0x0", "modifiers": [
            { "register": "ecx", "bitmap": "0bxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx01" }, { "register": "edx", "bitmap": "0b1" }] }],
          "msr_modifiers": [{ "addr": "0x10a", "bitmap": "0b0x1" }]
        }
        """u8.ToArray();

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("cnvm-host-files-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_profile_is_refused_by_name_or_read()
    {
        string path = Path.Combine(_folder.FullName, "profile.json");
        File.WriteAllBytes(path, Profile);
        Assert.Equal(2_000_000u, CpuProfileFile.Read(path).TscKhz);
        int refused = 0;
        int runs = SeededRuns.Repeat(500, seed =>
        {
            File.WriteAllBytes(path, DamagedJson.Make(Profile, new Random(seed)));
            try
            {
                CpuProfileFile.Read(path);
            }
            catch (MachineBuildException e)
            {
                Assert.Contains(path, e.Message, StringComparison.Ordinal);
                refused++;
            }
        });
        Assert.InRange(refused, runs / 10, runs - 1);
    }

    [Fact]
    public void A_description_of_a_host_is_refused_or_read()
    {
        byte[] file = HostCapabilitiesFile.Write(HostCapabilities.Of(SoftHypervisor.Create()));
        int refused = 0;
        int runs = SeededRuns.Repeat(300, seed =>
        {
            try
            {
                HostCapabilitiesFile.Read(DamagedJson.Make(file, new Random(seed)));
            }
            catch (StateFormatException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, runs / 10, runs);
    }

    [Fact]
    public void A_state_file_is_refused_by_name_or_opened()
    {
        byte[] state = [.. Enumerable.Range(0, 400).Select(i => (byte)i)];
        byte[] file = Encoding.UTF8.GetBytes($$"""{"format":"cnvm-state","version":1,"state":"{{Convert.ToBase64String(state)}}"}""");
        Assert.Equal(state, SnapshotFolder.StateBytes(file, "here"));
        int refused = 0;
        int runs = SeededRuns.Repeat(1000, seed =>
        {
            try
            {
                SnapshotFolder.StateBytes(DamagedJson.Make(file, new Random(seed)), "here");
            }
            catch (SnapshotException e)
            {
                Assert.Contains("here", e.Message, StringComparison.Ordinal);
                refused++;
            }
        });
        Assert.InRange(refused, runs / 10, runs - 1);
    }
}
