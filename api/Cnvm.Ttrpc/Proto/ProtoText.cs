using System.Text;

namespace Cnvm.Ttrpc;

/// <summary>Text in messages: UTF-8 without a mark, and an exception for what is none.</summary>
internal static class ProtoText
{
    public static UTF8Encoding Utf8 { get; } = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
}
