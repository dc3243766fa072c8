using System.Globalization;
using System.IO.Compression;
using Cnvm.Arch.Cpuid;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>
/// What privileged code sees, compared with kvm_amd in a nested host. <c>CNVM_SUPERVISOR_CASES</c>, <c>_SEED</c> and <c>_KIND</c> choose
/// other generated scenarios; <c>_REFERENCE</c> names a file with what the other side printed, which is then not run; <c>_REPORT</c> gets
/// every difference.
/// </summary>
public sealed class SupervisorTests(ITestOutputHelper output)
{
    private const int DefaultCases = 1500;
    private static readonly TimeSpan RunLimit = TimeSpan.FromMinutes(10);

    [SkippableFact]
    public async Task Privileged_code_sees_the_same_on_kvm_amd()
    {
        int seed = Setting("SEED", 1);
        int cases = Setting("CASES", DefaultCases);
        string? kind = Environment.GetEnvironmentVariable("CNVM_SUPERVISOR_KIND");
        string[] lines = await ReferenceAsync(string.Create(CultureInfo.InvariantCulture, $"{seed} {cases} {kind}"));
        CpuidTable cpuid = CpuidText.Read(lines[0]);
        using SoftHypervisor hypervisor = SoftHypervisor.Create();
        using ScenarioRunner soft = new(hypervisor, cpuid);
        List<string> failures = [];
        int compared = 0;
        foreach (Scenario scenario in ScenarioSelection.Of(seed, cases, kind))
        {
            Assert.True(compared + 1 < lines.Length, $"{scenario.Name}: the other side ended before it");
            string reference = lines[++compared];
            Assert.StartsWith(scenario.Name + "\t", reference, StringComparison.Ordinal);
            string differences = Outcome.Differences(scenario, reference, soft.Run(scenario));
            if (differences.Length != 0)
            {
                failures.Add($"{ScenarioReport.Text(scenario)}\n{differences}");
            }
        }

        string summary = $"{compared} scenarios, {failures.Count} differ";
        output.WriteLine(summary);
        if (Environment.GetEnvironmentVariable("CNVM_SUPERVISOR_REPORT") is { } file)
        {
            await File.WriteAllTextAsync(file, summary + "\n" + string.Join('\n', failures));
        }

        Assert.True(failures.Count == 0, summary + "\n" + string.Join('\n', failures.Take(40)));
        Assert.Equal(lines.Length - 1, compared);
    }

    private static async Task<string[]> ReferenceAsync(string selection)
    {
        if (Environment.GetEnvironmentVariable("CNVM_SUPERVISOR_REFERENCE") is { } file)
        {
            return await File.ReadAllLinesAsync(file);
        }

        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        Skip.If(
            !path.Split(':').Any(static d => File.Exists(Path.Combine(d, "qemu-system-x86_64"))),
            "qemu-system-x86_64 is not installed: 'make deps' installs it");
        Skip.If(
            !File.Exists(Path.Combine(Repository.Images, "nested-vmlinux")) || !File.Exists(Path.Combine(Repository.Images, "nested-initramfs.cpio")),
            "nested-vmlinux or nested-initramfs.cpio is missing: 'make images' makes them");
        // QEMU 10.0 executes in 64-bit mode what has no meaning there (CE, D4, D6...), VMPTRLD without VMX, and WBINVD for every program.
        await using NestedHost host = await NestedHost.StartAsync(
            new NestedHostOptions { Cpus = 1, MemoryMiB = 1024, UsesInstalledEmulator = true, StartTimeout = TimeSpan.FromMinutes(5) });
        string program = typeof(SupervisorTests).Assembly.Location;
        // Packed: some megabytes of text, of which commands keep the last one.
        CommandResult result = await host.RunAsync(
            $"set -o pipefail; dotnet exec {program} scenarios {selection} | gzip -1 | base64 -w 0", RunLimit);
        using GZipStream unpacked = new(new MemoryStream(Convert.FromBase64String(result.OrThrow().Output)), CompressionMode.Decompress);
        using StreamReader reader = new(unpacked);
        return (await reader.ReadToEndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable("CNVM_SUPERVISOR_" + name), CultureInfo.InvariantCulture, out int v) ? v : otherwise;
}
