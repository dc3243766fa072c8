using System.Diagnostics;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>QEMU's programs for disk images.</summary>
internal static class QemuImg
{
    private static readonly Lazy<bool> Present = new(static () => File.Exists("/usr/bin/qemu-img") && File.Exists("/usr/bin/qemu-io"));

    public static void SkipWithout() => Skip.IfNot(Present.Value, "there is no qemu-img here (Debian: qemu-utils)");

    /// <summary>Runs qemu-img; the output of a run that succeeded.</summary>
    public static string Run(params string[] arguments)
    {
        (int code, string output) = Start("qemu-img", arguments);
        Assert.True(code == 0, $"qemu-img {string.Join(' ', arguments)}: {output}");
        return output;
    }

    /// <summary>Runs commands of qemu-io on an image.</summary>
    public static void Io(string path, params string[] commands) => IoAs("qcow2", path, commands);

    /// <inheritdoc cref="Io"/>
    public static void IoAs(string format, string path, params string[] commands)
    {
        (int code, string output) = Start("qemu-io", ["-f", format, .. commands.SelectMany(c => new[] { "-c", c }), path]);
        Assert.True(code == 0, output);
    }

    /// <summary>Fails when an image is not consistent.</summary>
    /// <param name="mayLeak">Clusters may be lost; nothing may be damaged.</param>
    public static void Check(string path, bool mayLeak = false, string about = "", string format = "qcow2")
    {
        // 0: fine, 2: damaged, 3: leaks.
        (int code, string output) = Start("qemu-img", ["check", "-f", format, path]);
        Assert.True(code == 0 || (mayLeak && code == 3), $"{about}: {output}");
    }

    /// <summary>The contents of an image as QEMU reads them.</summary>
    public static byte[] Read(string path, string format = "qcow2")
    {
        string raw = $"{path}.read";
        try
        {
            Run("convert", "-f", format, "-O", "raw", path, raw);
            return File.ReadAllBytes(raw);
        }
        finally
        {
            File.Delete(raw);
        }
    }

    private static (int Code, string Output) Start(string program, string[] arguments)
    {
        using Process process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }
}
