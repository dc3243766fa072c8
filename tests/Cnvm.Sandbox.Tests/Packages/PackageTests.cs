using System.Diagnostics;
using System.IO.Compression;
using System.Xml.Linq;
using Cnvm.Nested;

namespace Cnvm.Sandbox.Tests.Packages;

/// <summary>The library as others get it: NuGet packages, and a program of a working copy of its own that is made with them.</summary>
public sealed class PackageTests
{
    private const string Feed = "out/test-packages";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);
    private static readonly string[] Frameworks = ["net10.0", "net9.0"];
    private static readonly string[] Names = ["Cnvm.Agent.Protocol", "Cnvm.Linux", "Cnvm.Sandbox", "Cnvm.Ttrpc"];

    [Fact]
    public async Task The_packages_are_whole_and_the_sample_is_compiled_with_them_alone()
    {
        string feed = Path.Combine(Repository.Root, Feed);
        if (Directory.Exists(feed))
        {
            Directory.Delete(feed, recursive: true);
        }

        // Restored, looked at and, as far as the tests needed it, compiled already: nothing of that is done again.
        await DotnetAsync(Repository.Root, "pack", "api/Cnvm.Sandbox", "-c", "Debug", "--no-restore", "-p:RunAnalyzers=false", "-o", feed);

        string version = XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props")).Descendants("Version").Single().Value;
        Assert.Equal(Names.Select(n => $"{n}.{version}.nupkg"), Directory.GetFiles(feed).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        foreach (string name in Names)
        {
            await CheckAsync(Path.Combine(feed, $"{name}.{version}.nupkg"), name, version);
        }

        await CompileSampleAsync(feed, version);
    }

    private static async Task CheckAsync(string file, string name, string version)
    {
        await using ZipArchive package = await ZipFile.OpenReadAsync(file);
        string[] parts = [.. package.Entries.Select(e => e.FullName).Where(n => !n.StartsWith("package/services/metadata/", StringComparison.Ordinal))];
        string[] expected =
        [
            "[Content_Types].xml", "_rels/.rels", $"{name}.nuspec", "PACKAGE.md",
            .. Frameworks.SelectMany(f => (string[])[$"lib/{f}/{name}.dll", $"lib/{f}/{name}.xml"]),
        ];
        Assert.Equal(expected.Order(StringComparer.Ordinal), parts.Order(StringComparer.Ordinal));

        foreach (string framework in Frameworks)
        {
            XDocument documentation = Parse(package, $"lib/{framework}/{name}.xml");
            Assert.True(documentation.Descendants("member").Count() > 20, $"{name} is hardly documented for {framework}");
        }

        XElement about = Parse(package, $"{name}.nuspec").Root!.Elements().First();
        string? Value(string element) => about.Elements().FirstOrDefault(e => e.Name.LocalName == element)?.Value;
        Assert.Equal((name, version), (Value("id"), Value("version")));
        Assert.Equal(("Apache-2.0", "PACKAGE.md"), (Value("license"), Value("readme")));
        Assert.NotEqual(("Package Description", name), (Value("description"), Value("authors")));
        Assert.StartsWith("# " + name, await new StreamReader(package.GetEntry("PACKAGE.md")!.Open()).ReadToEndAsync(), StringComparison.Ordinal);

        // Nothing is needed that is not packed here or everybody's, and not another version than this one.
        foreach (XElement needed in about.Descendants().Where(e => e.Name.LocalName == "dependency"))
        {
            string id = needed.Attribute("id")!.Value;
            Assert.True(id == "Microsoft.Extensions.Logging.Abstractions" || (Names.Contains(id) && needed.Attribute("version")!.Value == version), $"{name} needs {needed}");
        }
    }

    /// <summary>Compiles the sample where nothing of this working copy is found, and starts it.</summary>
    private static async Task CompileSampleAsync(string feed, string version)
    {
        using var folder = new TemporaryDirectory(Path.GetTempPath(), "cnvm-sample-");
        string cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        File.Copy(Path.Combine(Repository.Root, "tests", "Cnvm.Sandbox.Sample", "Program.cs"), folder.File("Program.cs"));
        await File.WriteAllTextAsync(folder.File("sample.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFrameworks>{string.Join(';', Frameworks)}</TargetFrameworks>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <UseAppHost>false</UseAppHost>
                <NuGetAudit>false</NuGetAudit>
              </PropertyGroup>
              <ItemGroup>
                <AssemblyAttribute Include="System.Runtime.Versioning.SupportedOSPlatformAttribute">
                  <_Parameter1>linux</_Parameter1>
                </AssemblyAttribute>
                <PackageReference Include="Cnvm.Sandbox" Version="{version}" />
              </ItemGroup>
            </Project>
            """);

        // No source but the folder, and what this machine has already; what is taken from the folder stays in no cache, where it would be old tomorrow.
        await File.WriteAllTextAsync(folder.File("nuget.config"), $"""
            <configuration>
              <packageSources>
                <clear />
                <add key="here" value="{feed}" />
              </packageSources>
              <fallbackPackageFolders>
                <clear />
                <add key="cache" value="{cache}" />
              </fallbackPackageFolders>
            </configuration>
            """);
        await DotnetAsync(folder.Path, "build", "-c", "Release", "-p:RestorePackagesPath=" + folder.File("packages"));

        string missing = folder.File("no-image");
        (int exitCode, string output) = await TryDotnetAsync(folder.Path, "exec", folder.File("bin/Release/net10.0/sample.dll"), "kernel", "initramfs", missing, "true");
        Assert.True(exitCode != 0 && output.Contains("Cnvm.Sandbox.SandboxException", StringComparison.Ordinal) && output.Contains(missing, StringComparison.Ordinal), output);
    }

    private static XDocument Parse(ZipArchive package, string part)
    {
        using Stream stream = package.GetEntry(part)!.Open();
        return XDocument.Load(stream);
    }

    private static async Task DotnetAsync(string folder, params string[] words)
    {
        (int exitCode, string output) = await TryDotnetAsync(folder, words);
        Assert.True(exitCode == 0, $"dotnet {words[0]}: exit code {exitCode}\n{output}");
    }

    private static async Task<(int ExitCode, string Output)> TryDotnetAsync(string folder, params string[] words)
    {
        var start = new ProcessStartInfo("dotnet", words) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };

        // What runs this test has chosen things for itself by variables that a build takes for its own.
        foreach (string variable in start.Environment.Keys.Where(k => k.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToArray())
        {
            start.Environment.Remove(variable);
        }

        // Nothing of it may stay in the background, and hold the pipes open.
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["DOTNET_NOLOGO"] = "1";
        using Process process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
            Task<string> error = process.StandardError.ReadToEndAsync(limit.Token);
            string said = await output + await error;
            await process.WaitForExitAsync(limit.Token);
            return (process.ExitCode, said);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }
}
