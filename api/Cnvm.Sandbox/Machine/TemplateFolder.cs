using System.Text.Json;
using System.Text.Json.Nodes;

namespace Cnvm.Sandbox.Machine;

/// <summary>A snapshot that many sandboxes go on from: each has a configuration that names its own files, and shares the rest.</summary>
internal static class TemplateFolder
{
    private const string Configuration = "config.json";

    /// <summary>Makes what a sandbox is restored from.</summary>
    /// <exception cref="SandboxException">The template is none.</exception>
    public static void Prepare(string template, SandboxFolder folder)
    {
        template = Path.GetFullPath(template);
        Directory.CreateDirectory(folder.Template);
        try
        {
            foreach (string file in Directory.EnumerateFiles(template))
            {
                string name = Path.GetFileName(file);
                if (name != Configuration)
                {
                    File.CreateSymbolicLink(Path.Combine(folder.Template, name), file);
                }
            }

            JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(template, Configuration)))!.AsObject();
            config["vsock"]!["socket"] = folder.VsockSocket;
            config["serial"]!["file"] = folder.ConsoleLog;
            config["serial"]!["file_size"] = SandboxFolder.LogLimit;
            foreach (JsonNode? share in config["fs"]!.AsArray())
            {
                if ((string?)share!["tag"] == GuestPaths.SharedTag)
                {
                    share["path"] = folder.Shared;
                    share["readonly"] = folder.SharedIsReadOnly;
                }
            }

            File.WriteAllText(Path.Combine(folder.Template, Configuration), config.ToJsonString());
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or DirectoryNotFoundException or FileNotFoundException)
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid, $"{template} is no template of a sandbox (MakeTemplateAsync makes one): {e.Message}", e);
        }
    }
}
