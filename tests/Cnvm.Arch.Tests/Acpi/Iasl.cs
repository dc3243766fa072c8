using System.Diagnostics;
using Xunit;

namespace Cnvm.Arch.Tests.Acpi;

/// <summary>The ACPI compiler of Debian's acpica-tools: what it reads, a guest's interpreter reads.</summary>
internal sealed class Iasl : IDisposable
{
    private const string Program = "/usr/bin/iasl";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("cnvm-iasl-");

    public static void SkipIfMissing() =>
        Skip.IfNot(File.Exists(Program), $"{Program} is not installed (Debian package acpica-tools).");

    /// <summary>Disassembles a table; the ASL or data-table source.</summary>
    public string Disassemble(byte[] table, string name)
    {
        var binary = Path.Combine(_folder.FullName, name + ".dat");
        File.WriteAllBytes(binary, table);
        Run($"-d {binary}");
        return File.ReadAllText(Path.ChangeExtension(binary, ".dsl"));
    }

    /// <summary>Compiles what <see cref="Disassemble"/> wrote, names and constants as they stand; warnings are errors.</summary>
    public byte[] Compile(string name)
    {
        var source = Path.Combine(_folder.FullName, name + ".dsl");
        var output = Path.Combine(_folder.FullName, name + "-again");
        var log = Run($"-we -on -of -p {output} {source}");
        Assert.DoesNotContain("Error", log.Replace("0 Errors", "", StringComparison.Ordinal), StringComparison.Ordinal);
        return File.ReadAllBytes(output + ".aml");
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private string Run(string arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(Program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _folder.FullName,
        })!;
        var errors = process.StandardError.ReadToEndAsync();
        var log = process.StandardOutput.ReadToEnd() + errors.GetAwaiter().GetResult();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"iasl {arguments} failed:\n{log}");
        return log;
    }
}
