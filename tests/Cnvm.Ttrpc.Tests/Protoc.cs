using System.Diagnostics;

namespace Cnvm.Ttrpc.Tests;

/// <summary>protobuf's own program as an oracle.</summary>
internal static class Protoc
{
    private static readonly string? Program = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
        .Select(folder => Path.Combine(folder, "protoc")).FirstOrDefault(File.Exists);

    public static void SkipWithout() => Skip.If(Program is null, "protoc is not installed (Debian: protobuf-compiler; `make deps` installs it)");

    /// <summary>What protoc calls the fields of these bytes, without knowing their names.</summary>
    public static string DecodeRaw(byte[] message) => System.Text.Encoding.UTF8.GetString(Run(message, "--decode_raw"));

    public static string Decode(string proto, string type, byte[] message) => System.Text.Encoding.UTF8.GetString(WithFile(proto, message, $"--decode={type}"));

    public static byte[] Encode(string proto, string type, string text) => WithFile(proto, System.Text.Encoding.UTF8.GetBytes(text), $"--encode={type}");

    private static byte[] WithFile(string proto, byte[] input, string action)
    {
        string folder = Directory.CreateTempSubdirectory("cnvm-protoc-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "t.proto"), proto);
            return Run(input, action, $"-I{folder}", "t.proto");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static byte[] Run(byte[] input, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(Program!, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        using var output = new MemoryStream();
        Task copied = process.StandardOutput.BaseStream.CopyToAsync(output);
        process.StandardInput.BaseStream.Write(input);
        process.StandardInput.Close();
        Assert.True(copied.Wait(TimeSpan.FromSeconds(60)), "protoc takes more than a minute");
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, errors.Result);
        return output.ToArray();
    }
}
