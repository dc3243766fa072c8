namespace Cnvm.Sandbox.Images;

/// <summary>An image is damaged, hostile, for another machine, or of a kind that is not known.</summary>
/// <param name="message">What is wrong with it, and where.</param>
/// <param name="inner">What lies beneath; null for none.</param>
public sealed class ImageException(string message, Exception? inner = null) : SandboxException(SandboxErrorKind.Invalid, message, inner);
